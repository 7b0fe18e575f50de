package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// entry is one key of a file of keys and its value.
type entry struct {
	key     string
	content []byte
	state   entryState
}

type entryState int

const (
	entryOpen   entryState = iota // encrypted in the file, content known
	entrySealed                   // encrypted in the file, content unknown
	entryPlain                    // in plaintext in the file
	entryNested                   // a mapping or a list, which is not a value
)

// entries lists the keys of the open document. It does not support a sealed binary file,
// in which the keys are encrypted.
func (d *document) entries() ([]entry, error) {
	switch len(d.tree.Branches) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, d.severalDocuments()
	}
	if d.format == formatBinary {
		content, err := d.content()
		if err != nil {
			return nil, err
		}
		defer clear(content)
		if detect(d.path, content) != formatNone {
			return nil, fault.New(fault.Place{File: d.path}, "undo the second one: sops -d -i "+d.path, "the file was encrypted twice")
		}
		return plainEntries(d.path, content, entryOpen)
	}
	var all []entry
	for _, section := range d.sections() {
		all = append(all, d.branchEntries(section)...)
	}
	return all, nil
}

// section is a part of a file of keys: its keys, and the start of their paths.
type section struct {
	prefix string
	branch sops.TreeBranch
}

// sections returns the parts of the only document: one, or several in an INI file.
func (d *document) sections() []section {
	if d.format != formatINI {
		return []section{{"", d.tree.Branches[0]}}
	}
	var all []section
	for _, item := range d.tree.Branches[0] {
		branch, _ := item.Value.(sops.TreeBranch)
		all = append(all, section{fmt.Sprint(item.Key) + ":", branch})
	}
	return all
}

func (d *document) severalDocuments() error {
	return fault.New(fault.Place{File: d.path}, "keep one document", "the file of keys has several YAML documents")
}

func (d *document) branchEntries(part section) []entry {
	var all []entry
	for _, item := range part.branch {
		key, ok := item.Key.(string)
		if !ok { // a comment
			continue
		}
		one := entry{key: strings.TrimPrefix(key, "export "), state: entryPlain}
		text, scalar := scalarText(item.Value)
		switch {
		case !scalar:
			one.state = entryNested
		case d.encrypted[part.prefix+key] && d.sealed:
			one.state = entrySealed
		case d.encrypted[part.prefix+key]:
			one.state, one.content = entryOpen, text
		default:
			one.content = text
		}
		all = append(all, one)
	}
	return all
}

// content returns the whole decrypted file in its format, as `sops -d` does.
func (d *document) content() ([]byte, error) {
	content, err := d.store.EmitPlainFile(d.tree.Branches)
	if err != nil { // the error may quote the content
		return nil, fault.New(fault.Place{File: d.path}, hintDamaged, "cannot write the decrypted content as %s", d.format)
	}
	return content, nil
}

// scalarText returns a scalar as the text that SOPS encrypts, with booleans as in YAML
// and JSON. It returns false for a mapping or a list.
func scalarText(value any) ([]byte, bool) {
	switch value := value.(type) {
	case string:
		return []byte(value), true
	case json.Number:
		return []byte(value), true
	case []byte:
		return value, true
	case int:
		return strconv.AppendInt(nil, int64(value), 10), true
	case float64:
		return strconv.AppendFloat(nil, value, 'f', -1, 64), true
	case bool:
		return strconv.AppendBool(nil, value), true
	case time.Time:
		return value.AppendFormat(nil, time.RFC3339Nano), true
	case nil:
		return []byte{}, true
	}
	return nil, false
}

var errUnknownText = errors.New("not a YAML mapping, a JSON object or NAME=value lines")

var dotenvLine = lazyregexp.New(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$`)

// plainEntries reads the keys of plaintext, such as the content of a binary file of
// keys, which sops writes for an unknown extension.
func plainEntries(path string, text []byte, state entryState) ([]entry, error) {
	all, ok := dotenvEntries(text, state)
	if ok {
		return all, nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		all, ok = jsonEntries(text, state)
		if ok {
			return all, nil
		}
	}
	roots, err := parseYAML(text)
	if err == nil && len(roots) == 1 && roots[0].Kind == yaml.MappingNode {
		return yamlEntries(roots[0], state), nil
	}
	message := fault.New(fault.Place{File: path}, "write one NAME: value or NAME=value per line", "the decrypted content is %w", errUnknownText)
	if err != nil && yamlLine(err) > 0 {
		message.Message += fmt.Sprintf(" (its line %d)", yamlLine(err))
	}
	return nil, message
}

// dotenvEntries reads NAME=value lines as the dotenv format of SOPS: a raw value with
// `\n` for a line break. It returns false if the text has other lines.
func dotenvEntries(text []byte, state entryState) ([]entry, bool) {
	var all []entry
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		found := dotenvLine().FindSubmatch(line)
		if found == nil {
			return nil, false
		}
		all = append(all, entry{key: string(found[1]), content: bytes.ReplaceAll(found[2], []byte(`\n`), []byte("\n")), state: state})
	}
	return all, true
}

// jsonEntries reads a JSON object. It does not convert numbers.
func jsonEntries(text []byte, state entryState) ([]entry, bool) {
	var top map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&top) != nil || decoder.More() {
		return nil, false
	}
	var all []entry
	for key, value := range top {
		one := entry{key: key, state: state}
		if content, ok := scalarText(value); ok {
			one.content = content
		} else {
			one.state = entryNested
		}
		all = append(all, one)
	}
	return all, true
}

// yamlEntries reads a YAML mapping. It does not convert scalars.
func yamlEntries(root *yaml.Node, state entryState) []entry {
	var all []entry
	for index := 0; index+1 < len(root.Content); index += 2 {
		key, value := root.Content[index], root.Content[index+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		one := entry{key: key.Value, state: state}
		switch {
		case value.Kind != yaml.ScalarNode:
			one.state = entryNested
		case value.Tag == "!!null":
			one.content = []byte{}
		default:
			one.content = []byte(value.Value)
		}
		all = append(all, one)
	}
	return all
}
