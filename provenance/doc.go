// Package provenance tells where the versions of a node's secrets come from: the
// history of a git working copy goes in, with keys where there are some; out comes,
// for each secret, who committed each version and when, what was merged, when each
// node applied it, and whether a rotation is overdue. Its guarantee: it only reads,
// and no value of a secret leaves memory. What cannot be told is said to be unknown.
package provenance

import (
	"time"
)

// Report is the trail of an environment's secrets. It holds no plaintext.
type Report struct {
	Environment string    `json:"environment"`
	Branch      string    `json:"branch,omitempty"` // "" where a commit is checked out
	Commit      string    `json:"commit"`           // what the history is read back from
	Commits     int       `json:"commits"`          // how many there are
	Since       time.Time `json:"since"`            // the oldest one's date
	Shallow     bool      `json:"shallow"`          // the clone does not have all of the history
	Secrets     []*Secret `json:"secrets"`          // by name, then in config.yml's order of the nodes
	Warnings    []string  `json:"warnings,omitempty"`

	tracks map[string]*track // by node
	graph  *graph
}

// Secret is a secret of one node.
type Secret struct {
	Name     string   `json:"secret"` // its key in the compose files
	Node     string   `json:"node"`
	Variable string   `json:"variable,omitempty"` // the SV_ variable in its name
	Version  string   `json:"version,omitempty"`  // the present one
	Object   string   `json:"object,omitempty"`   // its name in Swarm; "" where the version is not known
	External bool     `json:"external,omitempty"` // others create it: its value is not in the repository
	Removed  bool     `json:"removed,omitempty"`  // the node has it no more
	Entries  []*Entry `json:"versions"`           // the oldest first

	Rotated      *Rotation `json:"rotated,omitempty"`       // nil where git does not show it
	RotationDays int       `json:"rotation_days,omitempty"` // 0 for never
	OverdueDays  int       `json:"overdue_days,omitempty"`  // begun days
	Warnings     []Warning `json:"warnings,omitempty"`
}

// Change is what a commit did to a secret.
type Change string

// The changes.
const (
	Added    Change = "added"      // the secret is new
	Raised   Change = "version"    // another version than ever before
	Again    Change = "again"      // a version that it had before: taken back, or changed alike on two branches
	Revalued Change = "value"      // another value under the same version
	Resealed Change = "ciphertext" // another ciphertext under the same version; only a key tells whether the value is another
	Gone     Change = "removed"    // the secret is gone
	Earlier  Change = "earlier"    // it was there where a shallow clone's history ends
)

// Certainty says whether something is so.
type Certainty string

// The certainties.
const (
	Yes     Certainty = "yes"
	No      Certainty = "no"
	Unknown Certainty = "unknown"
)

// Entry is one commit that changed a secret of a node.
type Entry struct {
	Version  string    `json:"version,omitempty"` // "" for none, or where it cannot be read
	Sealed   bool      `json:"sealed,omitempty"`  // the version is encrypted, and no key opens it
	Object   string    `json:"object,omitempty"`
	Change   Change    `json:"change"`
	NewValue Certainty `json:"new_value"`
	Commit   Commit    `json:"commit"`
	Merged   *Commit   `json:"merged,omitempty"` // the merge that brought it to the branch; nil where it was committed there
	Request  string    `json:"merge_request,omitempty"`
	Applied  *Applied  `json:"applied,omitempty"` // nil where it is not known
	Created  time.Time `json:"created,omitzero"`  // by this node's engine
	Current  bool      `json:"current,omitempty"`
	Skipped  bool      `json:"skipped,omitempty"` // it was replaced before it came to the branch

	commit  *commit
	reading *reading
}

// Commit is a commit, and who made it.
type Commit struct {
	Hash           string    `json:"hash"`
	Author         string    `json:"author"`
	AuthorEmail    string    `json:"author_email"`
	Authored       time.Time `json:"authored"`
	Committer      string    `json:"committer"`
	CommitterEmail string    `json:"committer_email"`
	Committed      time.Time `json:"committed"`
	Subject        string    `json:"subject"`
}

// Applied is when a node had applied an entry, and who says so.
type Applied struct {
	At     time.Time `json:"at"`
	Commit string    `json:"commit"` // that the node was brought to
	Source string    `json:"source"` // agent or gitlab
}

// Rotation is the last time that a secret got a new value.
type Rotation struct {
	By      string    `json:"by"`
	Email   string    `json:"email"`
	At      time.Time `json:"at"`
	Commit  string    `json:"commit"`
	AgeDays int       `json:"age_days"`

	// AtLeast says that the history ends there: the value is as old, or older.
	AtLeast bool `json:"at_least,omitempty"`
}

// Warning is what an auditor should know of a secret's past.
type Warning struct {
	Commit string    `json:"commit"`
	Author string    `json:"author"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// Overdue lists the secrets whose rotation is overdue.
func (r *Report) Overdue() []*Secret {
	var overdue []*Secret
	for _, secret := range r.Secrets {
		if secret.OverdueDays > 0 {
			overdue = append(overdue, secret)
		}
	}
	return overdue
}
