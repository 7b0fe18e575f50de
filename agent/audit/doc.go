// Package audit keeps an append-only log of the agent's actions on stacks and
// secrets: the actor, the action, the revision, and the outcome. The log is a file
// of JSON lines, and each entry has the hash of the previous one. Verify therefore
// finds changed and missing entries. To find a truncated log, it needs the head
// that the state file stores. An entry is on disk when Append returns.
package audit
