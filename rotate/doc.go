// Package rotate gives a secret a new value in a working copy of the repository. Input:
// a folder, the keys and a request. Output: a commit on a branch of its own, and a merge
// request if a token allows one. Its guarantee: either all files of all nodes change or
// none does; each new file was opened again before the first one is written; no
// plaintext leaves memory. It does not touch Swarm: the sync of the merged commit
// creates the new version.
package rotate

import (
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// Request says what to rotate.
type Request struct {
	Name        string // of the secret: its key in the compose file, its SV_ name, or its key in the SOPS file
	Environment string
	Nodes       []string // the only ones to change; none: all of the environment that have the secret
	Stack       string   // in which the name is looked for; "": in all. A value that others share changes there, too

	Value    secrets.Value // the new value; if it is not known, one is generated
	Raw      bool          // a line break at the end of Value is part of it
	Generate Generate

	Branch string // to commit on; "" for rotate/<environment>/<name>-<version>, with <stack>- before the name if one is given
	Author string // Name <address>; "" for that of git's configuration

	past past // the versions in the history; nil: it is not read
}

// Version is a version that is raised.
type Version struct {
	Variable string `json:"variable"`
	File     string `json:"file,omitempty"` // that sets it; "" for auto
	Old      string `json:"old"`
	New      string `json:"new"`
}

// Node is what a rotation changes on one node.
type Node struct {
	Name     string    `json:"node"`
	Stack    string    `json:"stack,omitempty"` // of a node with several
	File     string    `json:"file"`            // that holds the value
	Key      string    `json:"key,omitempty"`   // in the file; "" for the whole file
	Secrets  []Object  `json:"secrets"`
	Versions []Version `json:"versions"`
}

// Object is a Swarm secret that gets a successor.
type Object struct {
	Key      string `json:"key"` // in the compose file
	Variable string `json:"variable"`
	Old      string `json:"old"`
	New      string `json:"new"`
}

// Plan is a rotation that is ready to be written. It holds no plaintext.
type Plan struct {
	Secret      string // the secret's key in the compose files
	Environment string
	Nodes       []Node
	Files       []proposal.File // sorted by path

	// Notes say what the operator should know of the value and the nodes.
	Notes []string
}
