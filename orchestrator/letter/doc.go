// Package letter writes the messages that the outbox sends: what the ledger
// says of an incident, what is measured at that moment, and for those who may
// decide the link to do it by.
package letter
