package policy

import (
	"errors"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Signers are the files with the keys of those who may sign what the node follows: the tip
// of the branch, or the tag and its commit.
type Signers struct {
	OpenPGP []string `json:"openpgp,omitempty" yaml:"openpgp,omitempty,flow"` // public keys, as gpg --armor --export writes them
	SSH     []string `json:"ssh,omitempty" yaml:"ssh,omitempty,flow"`         // allowed_signers files, as ssh-keygen reads them
}

// Demands gives who may sign; nil if no signature is demanded.
func (p *Policy) Demands() *Signers {
	if p == nil {
		return nil
	}
	return p.Signers
}

// readSigners reads signers: {openpgp: FILES, ssh: FILES}.
func readSigners(p *Policy, file string, value *yaml.Node) error {
	const form = "write signers: {openpgp: /etc/coin-agent/signers.asc, ssh: /etc/coin-agent/allowed_signers}; each takes a list, too"
	place := func(at *yaml.Node) fault.Place { return fault.Place{File: file, Line: at.Line, Column: at.Column} }
	if value.Kind != yaml.MappingNode {
		return fault.New(place(value), form, "policy.signers is not a mapping")
	}
	read := &Signers{}
	var faults []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i]
		into := map[string]*[]string{"openpgp": &read.OpenPGP, "ssh": &read.SSH}[key.Value]
		switch {
		case into == nil:
			faults = append(faults, fault.New(place(key), form, "unknown key %q in policy.signers", key.Value))
		case seen[key.Value]:
			faults = append(faults, fault.New(place(key), "keep one of them", "policy.signers.%s is set twice", key.Value))
		default:
			var err error
			*into, err = readPaths(file, value.Content[i+1])
			faults = append(faults, err)
		}
		seen[key.Value] = true
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if len(read.OpenPGP)+len(read.SSH) == 0 {
		return fault.New(place(value), form, "policy.signers does not name a file: nobody could sign")
	}
	p.Signers = read
	return nil
}

// readPaths reads an absolute path, or a list of them.
func readPaths(file string, value *yaml.Node) (paths []string, err error) {
	items := value.Content
	if value.Kind == yaml.ScalarNode {
		items = []*yaml.Node{value}
	}
	var faults []error
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || !filepath.IsAbs(item.Value) {
			faults = append(faults, fault.New(fault.Place{File: file, Line: item.Line, Column: item.Column},
				"write a path such as /etc/coin-agent/allowed_signers", "%q is not an absolute path", item.Value))
		}
		paths = append(paths, item.Value)
	}
	return paths, errors.Join(faults...)
}
