package desired

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Scan looks for secrets in the clear in a repository, or only in what belongs to
// an environment or to one of its nodes; empty names mean all. Where config.yml
// says allow_plaintext_secrets, unencrypted files are passed over.
func Scan(fsys fs.FS, environment, node string) Checked {
	checked := Checked{Environment: environment, Node: node}
	scanned, err := secrets.Scan(fsys, plaintextAllowed(fsys))
	checked.Problems = problems(err)
	checked.Files = scanned.Files
	for _, warning := range scanned.Warnings {
		if within(warning.Place.File, environment, node) {
			checked.Warnings = append(checked.Warnings, problem(warning))
		}
	}
	for _, found := range scanned.Found {
		if within(found.Place.File, environment, node) {
			checked.Problems = append(checked.Problems, problem(found))
		}
	}
	return checked
}

// Without leaves out the problems that another result has already, and counts them.
func (c Checked) Without(others []Checked) Checked {
	type finding struct{ file, message string }
	known := map[finding]bool{}
	for _, other := range others {
		for _, one := range other.Problems {
			known[finding{one.Place.File, one.Message}] = true
		}
	}
	before := len(c.Problems)
	c.Problems = slices.DeleteFunc(slices.Clone(c.Problems), func(p Problem) bool { return known[finding{p.Place.File, p.Message}] })
	c.Elsewhere += before - len(c.Problems)
	return c
}

// withoutWarnings leaves out the warnings that another result has already: of files that several
// stacks read.
func (c Checked) withoutWarnings(others []Checked) Checked {
	c.Warnings = slices.DeleteFunc(c.Warnings, func(p Problem) bool {
		return slices.ContainsFunc(others, func(other Checked) bool { return slices.Contains(other.Warnings, p) })
	})
	return c
}

// plaintextAllowed knows the environments whose config.yml admits plaintext.
func plaintextAllowed(fsys fs.FS) func(string) bool {
	allowed := map[string]bool{}
	return func(name string) bool {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) < 3 || parts[0] != "environments" {
			return false
		}
		environment := parts[1]
		if _, known := allowed[environment]; !known {
			config, err := manifests.LoadConfig(fsys, environment)
			allowed[environment] = err == nil && config.AllowPlaintextSecrets
		}
		return allowed[environment]
	}
}

// within says whether a file belongs to an environment or one of its nodes.
func within(file, environment, node string) bool {
	folder := path.Join("environments", environment)
	switch {
	case environment == "":
		return true
	case node == "":
		return strings.HasPrefix(file, folder+"/")
	}
	return strings.HasPrefix(file, path.Join(folder, "nodes", node)+"/") || strings.HasPrefix(file, path.Join(folder, "common")+"/")
}
