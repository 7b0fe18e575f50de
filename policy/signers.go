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
	read := &Signers{}
	if err := eachKnown(file, "signers", value, map[string]func(*yaml.Node) error{
		"openpgp": func(value *yaml.Node) (err error) { read.OpenPGP, err = readPaths(file, value); return err },
		"ssh":     func(value *yaml.Node) (err error) { read.SSH, err = readPaths(file, value); return err },
	}); err != nil {
		return err
	}
	if len(read.OpenPGP)+len(read.SSH) == 0 {
		return fault.New(placeIn(file, value), form, "policy.signers names no file, so no signature would count")
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
			faults = append(faults, fault.New(placeIn(file, item),
				"write a path such as /etc/coin-agent/allowed_signers", "%q is not an absolute path", item.Value))
		}
		paths = append(paths, item.Value)
	}
	return paths, errors.Join(faults...)
}
