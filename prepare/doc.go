// Package prepare brings a release into a working copy of the repository. Input: the folder,
// the tag of the release and its bundle, which the release's image prints. Output: one commit
// on a branch of its own with the release's compose files and settings on each node, and the
// text of its merge request. Its guarantee: what a node's files say beyond the release before
// stays, or nothing is written; nothing of a bundle reaches a disk but the files that the nodes
// read.
package prepare

import (
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// Release says what to prepare. Empty values are not set.
type Release struct {
	Environment string `json:"environment"`
	Tag         string `json:"tag"`
	Version     string `json:"version,omitempty"`
	Task        string `json:"task,omitempty"`
	Migration   string `json:"migration,omitempty"` // the highest that the release expects
}

// Request says how to prepare a release.
type Request struct {
	Release Release
	Nodes   []string // the only ones to change; none: all of the environment
	Stack   string   // that the release belongs to, on nodes with several
	Keep    []string // TAG_ variables that stay
	Replace bool     // a file whose earlier release is not known is replaced
	DryRun  bool     // nothing is written

	Branch string // to commit on; "" for release/<environment>/<tag>
	Author string // Name <address>; "" for that of git's configuration
}

// Plan is a release that is ready to be written.
type Plan struct {
	Environment string `json:"environment"`
	Tag         string `json:"tag"`
	Version     string `json:"version,omitempty"`
	Task        string `json:"task,omitempty"`
	Migration   string `json:"migration,omitempty"`

	Image    string            `json:"image"` // the release's
	Nodes    []Node            `json:"nodes"`
	Problems []desired.Problem `json:"problems,omitempty"` // that `agent check` finds in the result
	Notes    []string          `json:"notes,omitempty"`
	Asked    []string          `json:"asked,omitempty"` // what registry and scanner answered

	Files []proposal.File `json:"-"` // sorted by path
	Text  string          `json:"text"`
}

// NewPlan makes a plan that changes nothing.
func NewPlan(of Release) *Plan {
	return &Plan{Environment: of.Environment, Tag: of.Tag, Version: of.Version, Task: of.Task, Migration: of.Migration}
}

// Node is what a release changes on one node.
type Node struct {
	Name    string    `json:"node"`
	Before  string    `json:"tag_before"` // "" for none
	Files   []string  `json:"files"`      // that change
	Dropped []Dropped `json:"dropped,omitempty"`
	Unset   []string  `json:"unset,omitempty"` // variables that the compose files mention, without a default, and no file sets
	Images  []string  `json:"images"`
}

// Dropped is a TAG_ variable that no longer sets the release of one service.
type Dropped struct {
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line"` // in the file before
	Text string `json:"text"`
}

// folder is a folder of a node that has compose files: the node's own, or that of one of its
// stacks.
type folder struct {
	node, stack string // stack is "" for the only one of a node
	dir         string // in the repository
	within      string // the folder of its files in a bundle
	files       []string
}

// folders lists the folders of a node that the release changes. All that prepares a release
// finds the files of a node here.
func folders(config *manifests.Config, node, stack string) []folder {
	home := nodeFolder(config.Environment.Name, node)
	layered := config.Layered(node)
	var all []folder
	for _, one := range config.StacksOf(node) {
		found := folder{node: node, dir: join(home, one.Path), within: one.Path, files: one.Files}
		if layered {
			found.stack = one.Name
		}
		if layered && stack != "" {
			found.within = "."
		}
		if !layered || stack == "" || stack == one.Name {
			all = append(all, found)
		}
	}
	return all
}
