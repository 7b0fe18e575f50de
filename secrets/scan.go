package secrets

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// maxScanned is the maximum size of files that Scan reads. Larger files are not settings.
const maxScanned = 4 << 20

const hintMove = "move it to secrets.enc with sops, and replace the secret, because git keeps the old commits; " +
	"if it is not a secret, write `" + markHarmless + "` in a comment on this line or the line before"

// markHarmless marks, in a comment, a value that looks like a secret but is not.
const markHarmless = "not-a-secret"

// Scanned is the result of a Scan.
type Scanned struct {
	Files    int            // number of files that were read
	Found    []*fault.Error // sorted by file and line; the messages contain no values
	Warnings []*fault.Error // unencrypted files that plaintext accepts, and rules without a file; sorted
}

// Scan searches a repository for unencrypted secrets: values that look like keys,
// settings with the names of secrets, unencrypted files that are in secrets/, end in
// .enc or match .sops.yaml, SOPS files that are partly or fully decrypted, and readable
// values in SOPS files that look like secrets. It also finds rules of .sops.yaml that match
// no file. It needs no key. It skips files that .gitignore excludes. plaintext reports whether secrets in a
// path may be unencrypted (allow_plaintext_secrets in config.yml); nil means never.
func Scan(fsys fs.FS, plaintext func(path string) bool) (Scanned, error) {
	s := &scanner{fsys: fsys, plaintext: plaintext}
	wrong := s.readRules()
	if err := fs.WalkDir(fsys, ".", s.visit); err != nil {
		return Scanned{}, fmt.Errorf("search for plaintext secrets: %w", err)
	}
	for _, rule := range s.rules {
		if !rule.matched {
			s.warnings = append(s.warnings, fault.New(fault.Place{File: rulesFile, Line: rule.line}, "correct the expression, or remove the rule",
				"creation_rules[%d].path_regex matches no file: it encrypts nothing", rule.index))
		}
	}
	inOrder := func(a, b *fault.Error) int {
		return cmp.Or(strings.Compare(a.Place.File, b.Place.File), a.Place.Line-b.Place.Line)
	}
	slices.SortStableFunc(s.found, inOrder)
	slices.SortStableFunc(s.warnings, inOrder)
	return Scanned{Files: s.files, Found: s.found, Warnings: s.warnings}, wrong
}

type scanner struct {
	fsys      fs.FS
	plaintext func(path string) bool
	ignored   []gitignore.Pattern
	rules     []*pathRule
	files     int
	found     []*fault.Error
	warnings  []*fault.Error
}

// pathRule is a creation rule of .sops.yaml for some paths.
type pathRule struct {
	index, line int
	paths       *regexp.Regexp
	matched     bool
}

const rulesFile = ".sops.yaml"

// readRules reads the path rules of .sops.yaml.
func (s *scanner) readRules() error {
	data, err := fs.ReadFile(s.fsys, rulesFile)
	if err != nil {
		return nil //nolint:nilerr // without the file there are no rules
	}
	var file struct {
		Rules []struct {
			PathRegex yaml.Node `yaml:"path_regex"`
		} `yaml:"creation_rules"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fault.New(fault.Place{File: rulesFile, Line: yamlLine(err)}, "correct the YAML", "the file is not valid YAML")
	}
	var faults []error
	for i, rule := range file.Rules {
		if rule.PathRegex.Value == "" {
			continue // a default rule does not say which files must be encrypted
		}
		paths, err := regexp.Compile(rule.PathRegex.Value)
		if err != nil {
			faults = append(faults, fault.New(fault.Place{File: rulesFile}, "correct the expression", "creation_rules[%d].path_regex: %w", i, err))
			continue
		}
		s.rules = append(s.rules, &pathRule{index: i, line: rule.PathRegex.Line, paths: paths})
	}
	return errors.Join(faults...)
}

func (s *scanner) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	isIgnored := name != "." && gitignore.NewMatcher(s.ignored).Match(strings.Split(name, "/"), entry.IsDir())
	switch {
	case entry.IsDir() && (isIgnored || entry.Name() == ".git"):
		return fs.SkipDir
	case !isIgnored && !fs.ValidPath(name): // no fs.FS opens it
		s.add(fault.New(fault.Place{File: name}, "rename it", "the name is not UTF-8 text: it is not searched"))
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	case entry.IsDir():
		return s.readIgnored(name)
	case isIgnored:
		return nil
	}
	for _, rule := range s.rules {
		rule.matched = rule.matched || rule.paths.MatchString(name)
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	if info.Size() > maxScanned {
		if s.encryptedByName(File{Path: name, Data: []byte{0}}) {
			s.add(fault.New(fault.Place{File: name}, "keep large files out of the repository", "the file should be encrypted, and is too large for that: it has more than %d bytes", maxScanned))
		}
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
	switch {
	case err != nil:
		s.add(err)
	case doc != nil:
		s.values(doc)
	case s.encryptedByName(file) && s.plaintext != nil && s.plaintext(file.Path):
		s.warnings = append(s.warnings, fault.New(fault.Place{File: file.Path}, hintEncrypt+file.Path, "the file is not encrypted: allow_plaintext_secrets accepts it"))
	case s.encryptedByName(file):
		s.add(notEncrypted(file.Path))
	default:
		s.lines(file)
	}
}

// maxListed is the maximum number of values of a SOPS file that Scan lists.
const maxListed = 100

// values checks the values of a SOPS file one by one: those that should be encrypted, and
// those that its rules leave readable.
func (s *scanner) values(doc *document) {
	doc.plain = doc.plaintexts()
	err := doc.open(nil)
	s.add(err)
	if err == nil && s.isPlaintext(doc) {
		s.add(encryptsNothing(doc.path))
		return
	}
	type value struct {
		key, hint, message string
		markable           bool
	}
	var values []value
	var keys []string
	for _, path := range doc.readable {
		if key, _, _ := strings.Cut(path, ":"); len(keys) == 0 || keys[len(keys)-1] != key { // once for nested ones
			keys = append(keys, key)
			values = append(values, value{key, doc.hintValue(), fmt.Sprintf(plaintextValue, oneline.Cut(key, 80)), false})
		}
	}
	for _, one := range leaves(doc.tree.Branches) { // the encrypted ones are empty now
		key, text := strings.TrimPrefix(one.key, "export "), fmt.Sprint(one.value)
		if one.value == nil || encryptedForm().MatchString(text) || versionKey().MatchString(key) {
			continue
		}
		if what := suspiciousValue(key, text); what != "" {
			keys = append(keys, one.key)
			values = append(values, value{one.key, "correct the rule in .sops.yaml, such as encrypted_regex, and run: " + doc.sops("-d -i") +
				" && " + doc.sops("-e -i") + "; then replace the secret, because git keeps the old commits", what + ": the rules of the file do not encrypt it", true})
		}
	}
	at, lines, listed := keyLines(doc.data, keys...), strings.Split(string(doc.data), "\n"), 0
	found := map[int]bool{} // the lines of the values: a mark there is about them alone
	for _, one := range values {
		found[at[one.key]] = true
	}
	for _, one := range values {
		line := at[one.key]
		if one.markable && isMarked(lines, line, found) {
			continue
		}
		if listed++; listed <= maxListed {
			s.add(fault.New(fault.Place{File: doc.path, Line: line}, one.hint, "%s", one.message))
		}
	}
	if listed > maxListed {
		s.add(fault.New(fault.Place{File: doc.path}, "encrypt the listed ones first", "%d more values of the file are in plaintext", listed-maxListed))
	}
}

// isPlaintext reports whether an open document is a whole file that must be encrypted, and of which the
// rules encrypt nothing.
func (s *scanner) isPlaintext(doc *document) bool {
	allowed := s.plaintext != nil && s.plaintext(doc.path)
	return len(doc.readable) == 0 && !doc.keyed && isReadable(doc) && !allowed && s.encryptedByName(File{Path: doc.path, Data: doc.data})
}

// isMarked reports whether a line has the mark, or the line before it, unless that has a value itself.
func isMarked(lines []string, line int, values map[int]bool) bool {
	return line > 0 && (strings.Contains(lines[line-1], markHarmless) || !values[line-1] && strings.Contains(lines[max(line-2, 0)], markHarmless))
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
		slices.ContainsFunc(s.rules, func(rule *pathRule) bool { return rule.paths.MatchString(file.Path) })
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

// encryptsNothing is for a SOPS file whose rules encrypt no value.
func encryptsNothing(name string) *fault.Error {
	return fault.New(fault.Place{File: name}, "correct the rule in .sops.yaml, such as encrypted_regex, and run: sops -d -i "+name+" && sops -e -i "+name+
		"; then replace the secret, because git keeps the old commits", "the file is not encrypted: its rules encrypt no value")
}

// lines searches a text for values that look like secrets.
func (s *scanner) lines(file File) {
	text, isText := textOf(file.Data)
	if !isText {
		return
	}
	before, number := false, 0 // the line before is marked, and not itself what the mark is about
	key, isYAML := "", settingsOf(file.Path).yaml
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		number++
		line = strings.TrimRight(line, "\r\n")
		judged, marked := line, strings.Contains(line, markHarmless)
		if key != "" {
			judged = key + strings.TrimSpace(line)
		}
		what := suspicion(file.Path, judged)
		if what != "" && !marked && !before {
			s.found = append(s.found, fault.New(fault.Place{File: file.Path, Line: number}, hintMove, "%s", what))
		}
		before = marked && what == ""
		if found := yamlBlock().FindStringSubmatch(line); isYAML && found != nil {
			key = found[1]
		} else if strings.TrimSpace(line) != "" {
			key = ""
		}
	}
}

// textOf gives a text in UTF-8; false for what is not text. Windows writes UTF-16, with a mark at its
// beginning.
func textOf(data []byte) ([]byte, bool) {
	for mark, order := range map[string]binary.ByteOrder{"\xff\xfe": binary.LittleEndian, "\xfe\xff": binary.BigEndian} {
		rest, found := bytes.CutPrefix(data, []byte(mark))
		if !found {
			continue
		}
		units := make([]uint16, 0, len(rest)/2)
		for ; len(rest) > 1; rest = rest[2:] {
			units = append(units, order.Uint16(rest))
		}
		return []byte(string(utf16.Decode(units))), true
	}
	return data, bytes.IndexByte(data[:min(len(data), 8000)], 0) < 0
}
