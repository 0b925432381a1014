// Package corpus judges diagnosers by recordings of incidents whose cause is
// known. A recording is one JSON file: the evidence that the incident recorded,
// as it was, and the cause that was put there. [Read] reads a directory of them,
// [Evaluate] has a diagnoser explain each, and [Table] is the confusion table.
package corpus
