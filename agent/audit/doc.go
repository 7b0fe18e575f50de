// Package audit keeps the agent's append-only log of what it did with stacks and
// secrets: who had it done, what, for which revision, and how it ended. In go
// entries; out comes a file of JSON lines in which each entry holds the hash of
// the one before, so that a change, a gap and, with the head that the state file
// remembers, a cut end are seen. An entry is on disk when Append returns.
package audit
