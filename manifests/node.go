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
	Dir         string  // environments/<env>/nodes/<node>

	// FS is the repository. It refuses paths that leave the repository. Dir also has
	// the derived settings files, such as .project.tmp.env.
	FS fs.FS

	ComposeFiles []string // repository paths in merge order

	// SecretFiles are repository paths: secrets.enc, secrets.override.enc, secrets/*,
	// and secrets.override.env if it has plaintext secrets and they are allowed. The
	// reader of a file must check whether it is encrypted.
	SecretFiles []string

	// VariableFiles are the repository paths of node.env, or of what stands for it, in order.
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

// Variable is the value of an interpolation variable and where it was set.
type Variable struct {
	Value string
	Place fault.Place
	Given bool // by config.yml: whatever else sets the variable takes precedence
}
