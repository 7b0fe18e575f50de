// Package provenance reports where the versions of a node's secrets come from. Input:
// the git history of a working copy, keys if there are any, the syncs that an agent
// recorded, and the commit statuses in GitLab. Output: for each secret, who committed
// each version and when, what merged it, when each node applied it, which services use
// it, and whether a rotation is overdue. Its guarantee: it only reads, and no value of a secret leaves
// memory. What cannot be known is reported as unknown.
package provenance

import "time"

// Report is the history of an environment's secrets. It holds no plaintext.
type Report struct {
	Environment string    `json:"environment"`
	Branch      string    `json:"branch,omitempty"` // "" where a commit is checked out
	Commit      string    `json:"commit"`           // the newest one of the history
	Commits     int       `json:"commits"`          // how many there are
	Since       time.Time `json:"since"`            // date of the oldest one
	Shallow     bool      `json:"shallow"`          // the clone does not have the whole history
	Secrets     []*Secret `json:"secrets"`          // by name, then in config.yml's order of the nodes
	Warnings    []string  `json:"warnings,omitempty"`

	tracks  map[string]*track // by node
	history *history
}

// Secret is a secret of one node.
type Secret struct {
	Name     string `json:"secret"` // its key in the compose files
	Node     string `json:"node"`
	Variable string `json:"variable,omitempty"` // the SV_ variable in its name
	Version  string `json:"version,omitempty"`  // the present one
	Object   string `json:"object,omitempty"`   // its name in Swarm; "" where the version is not known
	// VaultPath is where the present value is in Vault; "" for a value in the repository.
	VaultPath string `json:"vault_path,omitempty"`
	// VaultNewest is the newest version there; 0 where Vault was not asked.
	VaultNewest int      `json:"vault_newest,omitempty"`
	External    bool     `json:"external,omitempty"` // not created by the agent: its value is not in the repository
	Users       []string `json:"used_by,omitempty"`  // the services that have it now, by their names in Swarm
	Removed     bool     `json:"removed,omitempty"`  // the node does not have it any more
	Entries     []*Entry `json:"versions"`           // the oldest first

	Rotated      *Rotation `json:"rotated,omitempty"`       // nil where git does not show it
	RotationDays int       `json:"rotation_days,omitempty"` // 0 for never
	OverdueDays  int       `json:"overdue_days,omitempty"`  // a day that has begun counts
	Warnings     []Warning `json:"warnings,omitempty"`
}

// Change is what a commit did to a secret.
type Change string

// The changes.
const (
	Added    Change = "added"      // the secret is new
	Raised   Change = "version"    // a version that it never had before
	Again    Change = "again"      // a version that it had before: reverted, or changed alike on two branches
	Revalued Change = "value"      // another value under the same version
	Resealed Change = "ciphertext" // another ciphertext under the same version; without a key it is not known whether the value changed
	Gone     Change = "removed"    // the secret was removed
	Earlier  Change = "earlier"    // older than the history of a shallow clone
)

// Certainty answers a question that not every clone and key can answer.
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
	Merged   *Commit   `json:"merged,omitempty"` // the merge that brought it to the branch; nil for a commit on the branch
	Request  string    `json:"merge_request,omitempty"`
	Applied  *Applied  `json:"applied,omitempty"` // nil where it is not known
	Created  time.Time `json:"created,omitzero"`  // in Swarm, by this node's agent
	Current  bool      `json:"current,omitempty"`
	Skipped  bool      `json:"skipped,omitempty"` // it was replaced before the merge

	commit  *commit
	reading *reading
}

// Commit is a commit, with its author and committer.
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

// Applied is when a node applied an entry.
type Applied struct {
	At     time.Time `json:"at"`
	Commit string    `json:"commit"` // that the sync brought the node to
	Source string    `json:"source"` // agent or gitlab
}

// Rotation is the last time that a secret got a new value.
type Rotation struct {
	By      string    `json:"by"`
	Email   string    `json:"email"`
	At      time.Time `json:"at"`
	Commit  string    `json:"commit"`
	AgeDays int       `json:"age_days"`
	AtLeast bool      `json:"at_least,omitempty"` // the value may be older: the history ends there
}

// Warning is what an auditor should know of a change to a secret.
type Warning struct {
	Commit string    `json:"commit"`
	Author string    `json:"author"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}
