// Package recovery knows the actions that can mend a service: which there are,
// when one is proposed, what exactly it would send, and how it is sent once a
// person has authorized it. An action is a webhook: it runs in the customer's
// infrastructure, not here.
//
// Choosing is pure ([Propose]), and so is what is shown to whoever decides
// ([Action.Preview]). What is authorized is a digest of everything that decides
// what is sent ([Action.Digest]); values of secrets are no part of it, and are
// read only at the moment of sending ([Executor.Execute]).
package recovery
