// Package change knows what changed just before something broke: commits,
// deployments, feature flags, migrations. They come from GitHub's webhooks
// and its REST API, from a CI and as CloudEvents, are kept for 7 days, and
// are shown with an incident in a line each. They explain and decide nothing.
//
// Everything in a change was written by whoever may push. It is bounded and
// cleaned on its way in, and again when it is shown.
package change
