package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"regexp"
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
)

// format is how SOPS laid a file out. The file's name does not tell: all of
// them end in .enc.
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
	dotenvMark = regexp.MustCompile(`(?m)^sops_(mac|lastmodified|version)=`)
	iniMark    = regexp.MustCompile(`(?m)^\[sops\][ \t\r]*$`)
	yamlMark   = regexp.MustCompile(`(?m)^["']?sops["']?[ \t]*:`)
	jsonMark   = regexp.MustCompile(`"sops"\s*:\s*\{`)
)

// detect tells the format by the marks that SOPS leaves. A file with a mark can
// still be malformed; one without any is not encrypted.
func detect(name string, data []byte) format {
	trimmed := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")) && jsonMark.Match(data):
		if isBinary(name, trimmed) {
			return formatBinary
		}
		return formatJSON
	case dotenvMark.Match(data):
		return formatDotenv
	case iniMark.Match(data):
		return formatINI
	case yamlMark.Match(data):
		return formatYAML
	}
	return formatNone
}

// isBinary tells whether a JSON file is the envelope of a binary one: nothing
// but a `data` text beside the metadata. Real JSON can look the same; there the
// name decides.
func isBinary(name string, data []byte) bool {
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) != nil || len(top) != 2 || path.Ext(strings.TrimSuffix(name, ".enc")) == ".json" {
		return false
	}
	var text string
	return json.Unmarshal(top["data"], &text) == nil
}

// store gives SOPS' own reader and writer for a format, with the layout that
// `sops -d` has by default.
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

var errAlias = errors.New("SOPS writes no YAML anchors")

// precheck refuses what SOPS' readers would follow without a bound (anchors in
// a later document, depth in JSON), and finds the line of a syntax error. It
// returns 0 where the line is not known.
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
	case formatJSON, formatBinary:
		var raw json.RawMessage
		if err := json.Unmarshal(data, &raw); err != nil {
			return jsonLine(data, err), err
		}
	case formatDotenv, formatINI, formatNone:
	}
	return 0, nil
}

// parseYAML gives the roots of the documents in data that have one.
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

var yamlLineMark = regexp.MustCompile(`line (\d+)`)

// yamlLine takes the line out of a YAML error and leaves the rest, which may
// quote the content.
func yamlLine(err error) int {
	if found := yamlLineMark.FindStringSubmatch(err.Error()); found != nil {
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
func keyLine(data []byte, key string) int {
	for number, line := range bytes.Split(data, []byte("\n")) {
		rest, quoted := bytes.CutPrefix(bytes.TrimSpace(line), []byte(`"`))
		if quoted || len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			if rest, ok := bytes.CutPrefix(rest, []byte(key)); ok && len(rest) > 0 && bytes.IndexByte([]byte("\":= \t"), rest[0]) >= 0 {
				return number + 1
			}
		}
	}
	return 0
}
