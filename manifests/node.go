// Package manifests reads what the repository says about one node: out of an
// fs.FS, an environment and a node's name it makes a Node. The same files give
// the same Node, wherever it is made: neither clock, network nor the process's
// own environment has a say in it.
package manifests

import (
	"io/fs"

	"coin.internal/coin-agent/internal/fault"
)

// Node is everything the repository says about one node, with its settings
// layered and its files listed. It holds no ciphertext and no plaintext secret.
type Node struct {
	Environment string
	Name        string
	Stack       string // the Swarm stack's name, from config.yml
	Config      *Config
	Dir         string // environments/<env>/nodes/<node>

	// FS is the repository, confined: a path that leaves it is refused. The
	// derived settings files (.project.tmp.env and its like) stand in Dir.
	FS fs.FS

	ComposeFiles []string // repository paths in merge order

	// SecretFiles are repository paths: secrets.enc, secrets.override.enc,
	// secrets/* and, where plaintext secrets are allowed and it holds some,
	// secrets.override.env. Whether a file is encrypted is for its reader to see.
	SecretFiles []string

	// Variables are the interpolation variables: node.env, the plain
	// secrets.override.env, PROJECT_SETTINGS. TAG_ and SV_ defaults are not
	// in it: they depend on what the compose files mention.
	Variables map[string]Variable

	// ExpectedMigration is the highest id that the release expects the database's
	// migrations to have; nil where it names none, or config.yml checks none.
	ExpectedMigration *int64

	// Warnings are what the author should know but what stops nothing.
	Warnings []*fault.Error
}

// Variable is the value of an interpolation variable and where it was set.
type Variable struct {
	Value string
	Place fault.Place
}
