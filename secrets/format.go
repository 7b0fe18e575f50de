package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	sopsdotenv "github.com/getsops/sops/v3/stores/dotenv"
	sopsini "github.com/getsops/sops/v3/stores/ini"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// format is the format of a SOPS file. It does not follow from the name, because all
// files end in .enc.
type format string

const (
	formatNone   format = "" // not a SOPS file
	formatYAML   format = "yaml"
	formatJSON   format = "json"
	formatDotenv format = "dotenv"
	formatINI    format = "ini"
	formatBinary format = "binary"
)

var (
	dotenvMark = lazyregexp.New(`(?m)^sops_(mac|lastmodified|version)=`)
	iniMark    = lazyregexp.New(`(?m)^\[sops\][ \t\r]*$`)
	yamlMark   = lazyregexp.New(`(?m)^["']?sops["']?[ \t]*:`)
	jsonMark   = lazyregexp.New(`"sops"\s*:\s*\{`)
)

// detect returns the format by the metadata of SOPS. A file with metadata can still be
// malformed. A file without metadata is not encrypted.
func detect(name string, data []byte) format {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\uFEFF"))) // sops does not read a file with the mark
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")) && jsonMark().Match(data):
		if isBinary(name, trimmed) {
			return formatBinary
		}
		return formatJSON
	case dotenvMark().Match(data):
		return formatDotenv
	case iniMark().Match(data):
		return formatINI
	case yamlMark().Match(data):
		return formatYAML
	}
	return formatNone
}

// isBinary reports whether a JSON file is the envelope of a binary file, with only the
// text `data` and the metadata. The name decides about real JSON of this form.
func isBinary(name string, data []byte) bool {
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) != nil || len(top) != 2 || path.Ext(strings.TrimSuffix(name, ".enc")) == ".json" {
		return false
	}
	var text string
	return json.Unmarshal(top["data"], &text) == nil
}

// store returns the reader and writer of SOPS for a format, with the default layout of
// `sops -d`.
func (f format) store() sops.Store {
	settings := config.NewStoresConfig()
	switch f {
	case formatJSON:
		return sopsjson.NewStore(&settings.JSON)
	case formatDotenv:
		return sopsdotenv.NewStore(&settings.Dotenv)
	case formatINI:
		return sopsini.NewStore(&settings.INI)
	case formatYAML:
		return sopsyaml.NewStore(&settings.YAML)
	case formatBinary, formatNone:
	}
	return sopsjson.NewBinaryStore(&settings.JSONBinary)
}

var (
	errAlias = errors.New("SOPS does not write YAML anchors")
	errKeys  = fmt.Errorf("a mapping or the INI file has more than %d keys", maxKeys)
)

// maxKeys is the maximum number of keys of a YAML mapping, and of an INI file: yaml.v3 and go-ini compare
// each with all others.
const maxKeys = 10_000

// precheck refuses input that the readers of SOPS would follow without a limit (anchors
// in a later document, depth in JSON, many keys). It returns the line of a syntax error, or 0.
func (f format) precheck(data []byte) (line int, err error) {
	switch f {
	case formatYAML:
		roots, err := parseYAML(data)
		if err != nil {
			return yamlLine(err), err
		}
		if slices.ContainsFunc(roots, hasAlias) {
			return 0, errAlias
		}
		if slices.ContainsFunc(roots, hasManyKeys) {
			return 0, errKeys
		}
	case formatJSON, formatBinary:
		var raw json.RawMessage
		if err := json.Unmarshal(data, &raw); err != nil {
			return jsonLine(data, err), err
		}
	case formatINI:
		keys := 0
		for line := range bytes.Lines(data) {
			if bytes.ContainsAny(line, "=:") {
				keys++
			}
		}
		if keys > maxKeys {
			return 0, errKeys
		}
	case formatDotenv, formatNone:
	}
	return 0, nil
}

// parseYAML returns the roots of all non-empty documents.
func parseYAML(data []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, document.Content...)
	}
}

func hasAlias(node *yaml.Node) bool {
	return node.Kind == yaml.AliasNode || slices.ContainsFunc(node.Content, hasAlias)
}

func hasManyKeys(node *yaml.Node) bool {
	return node.Kind == yaml.MappingNode && len(node.Content) > 2*maxKeys || slices.ContainsFunc(node.Content, hasManyKeys)
}

var yamlLineMark = lazyregexp.New(`line (\d+)`)

// yamlLine returns the line number in a YAML error. The rest of the error may quote the
// content.
func yamlLine(err error) int {
	if found := yamlLineMark().FindStringSubmatch(err.Error()); found != nil {
		line, _ := strconv.Atoi(found[1])
		return line
	}
	return 0
}

func jsonLine(data []byte, err error) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset <= int64(len(data)) {
		return 1 + bytes.Count(data[:syntax.Offset], []byte("\n"))
	}
	return 0
}

// keyLine finds the line that sets a top-level key, or 0.
func keyLine(data []byte, key string) int { return keyLines(data, key)[key] }

// maxKey is the maximum length of keys that keyLines finds.
const maxKey = 256

// keyLines finds the first line that sets each of the top-level keys. Those without one
// are missing or 0.
func keyLines(data []byte, keys ...string) map[string]int {
	lines := map[string]int{}
	for _, key := range keys {
		lines[key] = 0
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		rest, quoted := bytes.CutPrefix(bytes.TrimSpace(line), []byte(`"`))
		if !quoted && (line[0] == ' ' || line[0] == '\t') {
			continue
		}
		for end, letter := range rest[:min(len(rest), maxKey+1)] {
			if bytes.IndexByte([]byte("\":= \t"), letter) >= 0 {
				if first, wanted := lines[string(rest[:end])]; wanted && first == 0 {
					lines[string(rest[:end])] = number
				}
			}
		}
	}
	return lines
}
