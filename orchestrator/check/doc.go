// Package check asks HTTP targets at intervals whether they work: the checks
// of the policy, and the upstream itself while no request comes that would
// tell.
//
// A check is one request on a connection of its own. It follows no redirect,
// asks no proxy, and reads at most 64 KiB of the answer. What comes of it is a
// policy.CheckResult, collected by Prober.Drain: this package decides nothing.
package check
