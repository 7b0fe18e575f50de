// Package manifests reads the configuration of one node from the repository: from an
// fs.FS, an environment and a node's name it makes a Node. The Node depends only on
// the files, not on the clock, the network or the process's environment.
package manifests

import (
	"io/fs"

	"coin.internal/coin-agent/internal/fault"
)

// Node is the configuration of one node, with its settings merged and its files
// listed. It contains neither ciphertext nor plaintext secrets.
type Node struct {
	Environment string
	Name        string
	Stack       string  // the Swarm stack's name, from config.yml
	Config      *Config // that holds: where there are Judges, the one in force
	Home        string  // environments/<env>/nodes/<node>
	Dir         string  // the stack's folder: Home, or a folder below it

	// FS is the repository. It refuses paths that leave the repository. Dir also has
	// the derived settings files, such as .project.tmp.env.
	FS fs.FS

	ComposeFiles []string // repository paths in merge order, of the stack

	// SecretFiles are repository paths: secrets.enc, secrets.override.enc, secrets/*,
	// and secrets.override.env if it has plaintext secrets and they are allowed, of each of
	// Folders. The reader of a file must check whether it is encrypted.
	SecretFiles []string

	// VariableFiles are the repository paths of node.env, or of what stands for it, in order:
	// those of Home, then those of Dir.
	VariableFiles []string

	// Variables are the interpolation variables that config.yml gives, those from
	// VariableFiles and the plain secrets.override.env, and PROJECT_SETTINGS. The TAG_ and SV_ defaults are not
	// included, because they depend on the compose files.
	Variables map[string]Variable

	// ExpectedMigration is the highest migration ID that the release expects in the
	// database. It is nil if the release sets none, or migrations are not checked.
	ExpectedMigration *int64

	// Warnings do not stop a sync.
	Warnings []*fault.Error
}

// Folders lists the folders whose settings and secrets count: the node's, then the stack's if
// that is another. What the later one has wins.
func (n *Node) Folders() []string {
	if n.Dir == n.Home {
		return []string{n.Home}
	}
	return []string{n.Home, n.Dir}
}

// Variable is the value of an interpolation variable and where it was set.
type Variable struct {
	Value string
	Place fault.Place
	Given bool // by config.yml: whatever else sets the variable takes precedence
}
