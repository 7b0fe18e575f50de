// Package journal takes what an attempt does and writes it to the audit log: the start
// before the first write, each step, and the end. An error means that the log does not
// have the entry, and that nothing more may be applied.
package journal
