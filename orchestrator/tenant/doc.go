// Package tenant watches services from afar: every five seconds it reads a
// health document over HTTP, has the policy decide, and hands the decision on
// to be recorded. The document is that of another sidecar, or of any service
// that serves FastAPI AlertEngine's.
//
// Each Tenant has a goroutine, a client, a policy state and a secret of its
// own. Whatever one of them is sent, the others go on: a document is foreign
// bytes, bounded and checked before anything is believed of it.
//
// The package also has the secrets of tenants, the own one's included.
package tenant
