// Package rotate gives a secret a new value in a working copy of the
// repository: a folder, the keys and a request go in; a commit on a branch of its
// own comes out, and a merge request where a token allows one. Its guarantee:
// either all files of all nodes change or none does, each has been opened again
// before the first is written, and no plaintext leaves memory. Nothing touches
// Swarm: the new version is created when the merged commit is synced.
package rotate

import (
	"coin.internal/coin-agent/secrets"
)

// Request says what is to be rotated.
type Request struct {
	Name        string // of the secret: its key in the compose file, its SV_ name, or its key in the SOPS file
	Environment string
	Nodes       []string // the only ones to change; none: all of the environment that have the secret

	Value    secrets.Value // the new value; not known: it is generated
	Raw      bool          // a line break at the end of Value is part of it
	Generate Generate

	Branch string // to commit on; "" for rotate/<environment>/<name>-<version>
	Author string // Name <address>; "" for that of git's configuration

	before *past // of the versions; nil: none is looked at
}

// Version is a version that is raised.
type Version struct {
	Variable string `json:"variable"`
	File     string `json:"file,omitempty"` // where it is set; "" for auto
	Old      string `json:"old"`
	New      string `json:"new"`
}

// Node is what a rotation changes on one node.
type Node struct {
	Name     string    `json:"node"`
	File     string    `json:"file"`
	Key      string    `json:"key,omitempty"` // in the file; "" for the whole file
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
	Files       []File // sorted by path

	// Notes say what the operator should know of the value and the nodes.
	Notes []string
}

// File is a file of the repository before and after.
type File struct {
	Path          string
	Before, After []byte // Before is nil for a new file
}
