package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// Rules are the creation rules of .sops.yaml, which say for which keys new files are encrypted.
// They need no private key.
type Rules struct {
	root string   // the folder of the repository
	ring *Keyring // whose PGP keys are used before those of gpg; nil for none
}

// NewRules gives the rules of a repository in a folder of this machine.
func NewRules(root string, ring *Keyring) *Rules { return &Rules{root: root, ring: ring} }

// File gives the path of the .sops.yaml for a file of the repository, as sops finds it: in the
// file's folder, or in the first one above it that has one. None outside of the repository counts.
func (r *Rules) File(name string) (string, error) {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		found := path.Join(dir, rulesFile)
		info, err := os.Stat(filepath.Join(r.root, filepath.FromSlash(found)))
		switch {
		case err == nil && info.Mode().IsRegular():
			return found, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist), err == nil:
			return "", fault.New(fault.Place{File: found}, "make it a readable file", "the rules for new SOPS files cannot be read")
		case dir == ".":
			return "", fault.New(fault.Place{File: rulesFile}, "write it: "+exampleRule(name),
				"the repository has no rules for new SOPS files")
		}
	}
}

func exampleRule(name string) string {
	parts := strings.Split(name, "/")
	folder := strings.Join(parts[:min(2, len(parts)-1)], "/")
	return "creation_rules: [{path_regex: '" + folder + `/.*/secrets(/.*)?\.enc$', age: age1…}]`
}

// rule gives the rule for a file.
func (r *Rules) rule(name string) (*config.Config, error) {
	file, err := r.File(name)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(r.root, filepath.FromSlash(path.Dir(file)))
	rule, err := config.LoadCreationRuleForFile(filepath.Join(folder, rulesFile), filepath.Join(r.root, filepath.FromSlash(name)), nil)
	place := fault.Place{File: file}
	switch {
	case err != nil:
		return nil, fault.New(place, "add a rule whose path_regex matches "+name+", or correct the file", "no rule for the new file %s: %s", name, oneline.Cut(err.Error(), 200))
	case rule == nil || len(rule.KeyGroups) == 0 || slices.ContainsFunc(rule.KeyGroups, func(group sops.KeyGroup) bool { return len(group) == 0 }):
		return nil, fault.New(place, "add age: or pgp: to the rule", "the rule for the new file %s names no key", name)
	}
	for _, group := range rule.KeyGroups {
		for _, key := range group {
			if service := serviceOf(key); !slices.Contains(DefaultKeyServices(), service) {
				return nil, fault.New(place, "encrypt for age or PGP keys first; then add the others to the rule, and run: sops updatekeys FILE",
					"the rule for the new file %s needs %s, which the agent does not encrypt with", name, titleOf(service))
			}
		}
	}
	return rule, nil
}

// Encrypt makes a new SOPS file of a whole secret file, in the binary format.
func (r *Rules) Encrypt(name string, content Value) ([]byte, error) {
	if !isBinary(name, []byte(`{"data":"","sops":{}}`)) {
		return nil, fault.New(fault.Place{File: name}, "put it into secrets.enc", "a whole file with this name is read as JSON, which does not keep each byte")
	}
	branches := sops.TreeBranches{{{Key: "data", Value: string(content.Reveal())}}}
	return r.make(name, formatBinary, branches)
}

// EncryptKeys makes a new SOPS file of keys, in the YAML format.
func (r *Rules) EncryptKeys(name string, values map[string]Value) ([]byte, error) {
	var branch sops.TreeBranch
	for _, key := range sortedKeys(values) {
		if !utf8.Valid(values[key].Reveal()) {
			return nil, fault.New(fault.Place{File: name}, hintBinary, "the value of %q is not UTF-8 text, which a file of keys requires", oneline.Cut(key, 80))
		}
		branch = append(branch, sops.TreeItem{Key: key, Value: string(values[key].Reveal())})
	}
	return r.make(name, formatYAML, sops.TreeBranches{branch})
}

// sopsVersion is that of the library, as sops writes it into its files. Its own constant is in a
// package with a command line and a man page in it.
const sopsVersion = "3.13.3"

// make encrypts a tree. It opens the result again in memory, and accepts it only if it has the
// same content and no value of it is readable.
func (r *Rules) make(name string, kind format, branches sops.TreeBranches) ([]byte, error) {
	quiet()
	rule, err := r.rule(name)
	if err != nil {
		return nil, err
	}
	want := leaves(branches)
	made := &document{path: name, format: kind, store: kind.store(), tree: sops.Tree{Branches: branches, Metadata: metadataOf(rule)}}
	service := &encrypter{ring: r.ring}
	key, failures := made.tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{service})
	defer clear(key)
	if len(failures) > 0 {
		return nil, service.fault(name, rule)
	}
	if err := made.encrypt(key, aes.NewCipher()); err != nil {
		return nil, err
	}
	data, err := made.store.EmitEncryptedFile(made.tree)
	if err != nil || !made.readsBack(data, want, key) {
		return nil, fault.New(fault.Place{File: name}, hintBinary, "SOPS %s cannot contain the content", kind)
	}
	if !Encrypted(File{Path: name, Data: data}, true) {
		return nil, fault.New(fault.Place{File: rulesFile}, "correct encrypted_regex and similar keys of the rule", "the rule for the new file %s leaves its content in plaintext", name)
	}
	return data, nil
}

func metadataOf(rule *config.Config) sops.Metadata {
	metadata := sops.Metadata{
		KeyGroups: rule.KeyGroups, ShamirThreshold: rule.ShamirThreshold, Version: sopsVersion, LastModified: time.Now().UTC(),
		UnencryptedSuffix: rule.UnencryptedSuffix, EncryptedSuffix: rule.EncryptedSuffix,
		UnencryptedRegex: rule.UnencryptedRegex, EncryptedRegex: rule.EncryptedRegex,
		UnencryptedCommentRegex: rule.UnencryptedCommentRegex, EncryptedCommentRegex: rule.EncryptedCommentRegex,
		MACOnlyEncrypted: rule.MACOnlyEncrypted,
	}
	if rule.UnencryptedSuffix+rule.EncryptedSuffix+rule.UnencryptedRegex+rule.EncryptedRegex+rule.UnencryptedCommentRegex+rule.EncryptedCommentRegex == "" {
		metadata.UnencryptedSuffix = sops.DefaultUnencryptedSuffix // as sops does
	}
	return metadata
}
