package secrets

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// maxScanned bounds the files that Scan reads; larger ones are no settings.
const maxScanned = 4 << 20

const hintMove = "move it into secrets.enc with sops, and replace the secret itself: git keeps what was committed; " +
	"where it is none, write `" + markHarmless + "` into a comment on that line or the one before"

// markHarmless stands in a comment beside what looks like a secret and is none.
const markHarmless = "not-a-secret"

// Scanned is what a Scan came to.
type Scanned struct {
	Files int            // how many files were read
	Found []*fault.Error // sorted by file and line; no message holds a value
}

// ScanOptions narrow a Scan.
type ScanOptions struct {
	// Plaintext tells the paths below which secrets may stand unencrypted
	// (allow_plaintext_secrets of config.yml).
	Plaintext func(path string) bool
}

// Scan looks for secrets in the clear in a repository: values that look like
// keys, settings with secret-looking names, files below secrets/ or called .enc
// or matched by .sops.yaml that are not encrypted, and SOPS files that were saved
// decrypted, in part or whole. It needs no key. Files that .gitignore leaves out
// of git are left out here.
func Scan(fsys fs.FS, o ScanOptions) (Scanned, error) {
	s := &scanner{fsys: fsys, options: o}
	if err := s.readRules(); err != nil {
		return Scanned{}, err
	}
	if err := fs.WalkDir(fsys, ".", s.visit); err != nil {
		return Scanned{}, fmt.Errorf("search for plaintext secrets: %w", err)
	}
	slices.SortStableFunc(s.found, func(a, b *fault.Error) int {
		if order := strings.Compare(a.Place.File, b.Place.File); order != 0 {
			return order
		}
		return a.Place.Line - b.Place.Line
	})
	return Scanned{Files: s.files, Found: s.found}, nil
}

type scanner struct {
	fsys    fs.FS
	options ScanOptions
	ignored []gitignore.Pattern
	rules   []*regexp.Regexp // the path_regex of .sops.yaml
	files   int
	found   []*fault.Error
}

// readRules reads which paths .sops.yaml has encrypted.
func (s *scanner) readRules() error {
	const name = ".sops.yaml"
	data, err := fs.ReadFile(s.fsys, name)
	if err != nil {
		return nil //nolint:nilerr // a repository without the file has no such rules
	}
	var file struct {
		Rules []struct {
			PathRegex string `yaml:"path_regex"`
		} `yaml:"creation_rules"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fault.New(fault.Place{File: name, Line: yamlLine(err)}, "correct the YAML", "the file is not well-formed")
	}
	for i, rule := range file.Rules {
		if rule.PathRegex == "" {
			continue // a rule for whatever is left: it does not say what has to be encrypted
		}
		pattern, err := regexp.Compile(rule.PathRegex)
		if err != nil {
			return fault.New(fault.Place{File: name}, "correct the expression", "creation_rules[%d].path_regex: %w", i, err)
		}
		s.rules = append(s.rules, pattern)
	}
	return nil
}

func (s *scanner) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if name != "." && gitignore.NewMatcher(s.ignored).Match(strings.Split(name, "/"), entry.IsDir()) {
		return skipped(entry)
	}
	if entry.IsDir() {
		if entry.Name() == ".git" {
			return fs.SkipDir
		}
		return s.readIgnored(name)
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxScanned {
		return nil
	}
	data, err := fs.ReadFile(s.fsys, name)
	if err != nil {
		return err
	}
	s.files++
	s.file(File{Path: name, Data: data})
	return nil
}

func skipped(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// readIgnored adds the folder's .gitignore to what is left out.
func (s *scanner) readIgnored(dir string) error {
	data, err := fs.ReadFile(s.fsys, path.Join(dir, ".gitignore"))
	if err != nil {
		return nil //nolint:nilerr // most folders have none
	}
	var domain []string
	if dir != "." {
		domain = strings.Split(dir, "/")
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && !strings.HasPrefix(line, "#") {
			s.ignored = append(s.ignored, gitignore.ParsePattern(line, domain))
		}
	}
	return nil
}

// file judges one file by its name, then by its content.
func (s *scanner) file(file File) {
	doc, err := parse(file)
	if err == nil && doc != nil {
		err = doc.seal()
	}
	switch {
	case err != nil:
		s.add(err)
	case doc != nil: // encrypted, as it should be
	case s.encryptedByName(file):
		if s.options.Plaintext == nil || !s.options.Plaintext(file.Path) {
			s.add(notEncrypted(file.Path))
		}
	default:
		s.lines(file)
	}
}

func (s *scanner) add(err error) {
	for _, one := range fault.All(err) {
		if found, ok := one.(*fault.Error); ok { //nolint:errorlint // All has unwrapped it
			s.found = append(s.found, found)
		}
	}
}

// sealedNames end the names of files that SOPS has encrypted, and of those that
// hold private keys in binary form.
var sealedNames = []string{".enc", ".p12", ".pfx", ".jks", ".keystore", ".kdbx"}

// encryptedByName says that a file of this name has to be encrypted.
func (s *scanner) encryptedByName(file File) bool {
	if ignored(file) || path.Base(file.Path) == "README.md" {
		return false
	}
	return slices.Contains(sealedNames, path.Ext(file.Path)) || inSecretsFolder(file.Path) ||
		slices.ContainsFunc(s.rules, func(rule *regexp.Regexp) bool { return rule.MatchString(file.Path) })
}

// inSecretsFolder says that a file stands in a folder secrets/ of an environment;
// a node may be called so.
func inSecretsFolder(name string) bool {
	parts := strings.Split(path.Dir(name), "/")
	if parts[0] != "environments" || len(parts) < 3 {
		return false
	}
	at := slices.Index(parts[2:], "secrets") + 2
	if at == 3 && parts[2] == "nodes" {
		return slices.Contains(parts[4:], "secrets")
	}
	return at >= 2
}

func notEncrypted(name string) *fault.Error {
	return fault.New(fault.Place{File: name}, hintEncrypt+name+" (and rotate what it holds: git keeps the plaintext)", "the file is not encrypted")
}

// lines looks through a text for what looks like a secret.
func (s *scanner) lines(file File) {
	if bytes.IndexByte(file.Data[:min(len(file.Data), 8000)], 0) >= 0 {
		return // binary
	}
	before, number := "", 0
	for line := range strings.Lines(string(file.Data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		what := suspicion(file.Path, line)
		if what != "" && !strings.Contains(line, markHarmless) && !strings.Contains(before, markHarmless) {
			s.found = append(s.found, fault.New(fault.Place{File: file.Path, Line: number}, hintMove, "%s", what))
		}
		before = line
	}
}
