package secrets

import (
	"bytes"
	"cmp"
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

// maxScanned is the maximum size of files that Scan reads. Larger files are not settings.
const maxScanned = 4 << 20

const hintMove = "move it to secrets.enc with sops, and replace the secret, because git keeps the old commits; " +
	"if it is not a secret, write `" + markHarmless + "` in a comment on this line or the line before"

// markHarmless marks, in a comment, a value that looks like a secret but is not.
const markHarmless = "not-a-secret"

// Scanned is the result of a Scan.
type Scanned struct {
	Files int            // number of files that were read
	Found []*fault.Error // sorted by file and line; the messages contain no values
}

// Scan searches a repository for unencrypted secrets: values that look like keys,
// settings with the names of secrets, unencrypted files that are in secrets/, end in
// .enc or match .sops.yaml, and SOPS files that are partly or fully decrypted. It needs
// no key. It skips files that .gitignore excludes. plaintext reports whether secrets in a
// path may be unencrypted (allow_plaintext_secrets in config.yml); nil means never.
func Scan(fsys fs.FS, plaintext func(path string) bool) (Scanned, error) {
	s := &scanner{fsys: fsys, plaintext: plaintext}
	if err := s.readRules(); err != nil {
		return Scanned{}, err
	}
	if err := fs.WalkDir(fsys, ".", s.visit); err != nil {
		return Scanned{}, fmt.Errorf("search for plaintext secrets: %w", err)
	}
	slices.SortStableFunc(s.found, func(a, b *fault.Error) int {
		return cmp.Or(strings.Compare(a.Place.File, b.Place.File), a.Place.Line-b.Place.Line)
	})
	return Scanned{Files: s.files, Found: s.found}, nil
}

type scanner struct {
	fsys      fs.FS
	plaintext func(path string) bool
	ignored   []gitignore.Pattern
	rules     []*regexp.Regexp // the path_regex of .sops.yaml
	files     int
	found     []*fault.Error
}

// readRules reads the path rules of .sops.yaml.
func (s *scanner) readRules() error {
	const name = ".sops.yaml"
	data, err := fs.ReadFile(s.fsys, name)
	if err != nil {
		return nil //nolint:nilerr // without the file there are no rules
	}
	var file struct {
		Rules []struct {
			PathRegex string `yaml:"path_regex"`
		} `yaml:"creation_rules"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fault.New(fault.Place{File: name, Line: yamlLine(err)}, "correct the YAML", "the file is not valid YAML")
	}
	for i, rule := range file.Rules {
		if rule.PathRegex == "" {
			continue // a default rule does not say which files must be encrypted
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
	isIgnored := name != "." && gitignore.NewMatcher(s.ignored).Match(strings.Split(name, "/"), entry.IsDir())
	switch {
	case entry.IsDir() && (isIgnored || entry.Name() == ".git"):
		return fs.SkipDir
	case entry.IsDir():
		return s.readIgnored(name)
	case isIgnored:
		return nil
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

// readIgnored adds the rules in the folder's .gitignore.
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

// file checks one file by its name, then by its content.
func (s *scanner) file(file File) {
	doc, err := parse(file)
	if err == nil && doc != nil {
		err = doc.open(nil)
	}
	switch {
	case err != nil:
		s.add(err)
	case doc != nil: // encrypted, as it should be
	case s.encryptedByName(file):
		if s.plaintext == nil || !s.plaintext(file.Path) {
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

// sealedNames lists the extensions of encrypted files, and of files with private keys in
// binary form.
var sealedNames = []string{".enc", ".p12", ".pfx", ".jks", ".keystore", ".kdbx"}

// encryptedByName reports whether a file with this name must be encrypted.
func (s *scanner) encryptedByName(file File) bool {
	if ignored(file) || path.Base(file.Path) == "README.md" {
		return false
	}
	return slices.Contains(sealedNames, path.Ext(file.Path)) || inSecretsFolder(file.Path) ||
		slices.ContainsFunc(s.rules, func(rule *regexp.Regexp) bool { return rule.MatchString(file.Path) })
}

// inSecretsFolder reports whether a file is in a folder secrets/ of an environment. The
// folder of a node with the name secrets does not count.
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
	return fault.New(fault.Place{File: name}, hintEncrypt+name+" (and rotate its secrets, because git keeps the plaintext)", "the file is not encrypted")
}

// lines searches a text for values that look like secrets.
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
