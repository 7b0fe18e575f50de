package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/lazyregexp"
)

var (
	errNoKey    = errors.New("the key does not exist")
	errUnfitted = errors.New("the text cannot contain the value")
)

// setText sets a key in plaintext of the forms that plainEntries reads, and keeps the
// rest. With add, it adds a missing key.
func setText(text []byte, key, value string, add bool) ([]byte, error) {
	before, err := plainEntries("", text, entryOpen)
	if err != nil {
		return nil, err
	}
	held := slices.ContainsFunc(before, func(one entry) bool { return one.key == key })
	if !held && !add {
		return nil, errNoKey
	}
	_, isDotenv := dotenvEntries(text, entryOpen)
	isJSON := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
	var after []byte
	ok := true
	switch {
	case isDotenv:
		after = setDotenv(text, key, value)
	case held:
		after, ok = setLine(text, key, value)
	case !isJSON:
		after = appendLine(text, key+": "+scalarSource(value))
	}
	done := ok && setAsMeant(before, after, key, value)
	if !done && !isDotenv {
		after, ok = setNode(text, key, value, isJSON)
		done = ok && setAsMeant(before, after, key, value)
	}
	if !done {
		return nil, errUnfitted
	}
	return after, nil
}

// setAsMeant reports whether the text has the new value and the other old values.
func setAsMeant(before []entry, text []byte, key, value string) bool {
	after, err := plainEntries("", text, entryOpen)
	if err != nil {
		return false
	}
	content := func(all []entry) map[string]string {
		found := map[string]string{}
		for _, one := range all {
			found[one.key] = string(one.content)
		}
		return found
	}
	want := content(before)
	want[key] = value
	return maps.Equal(want, content(after))
}

func setDotenv(text []byte, key, value string) []byte {
	value = strings.ReplaceAll(value, "\n", `\n`)
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		bare := bytes.TrimRight(line, "\r\n")
		found := dotenvLine().FindSubmatchIndex(bare)
		if found == nil || string(bare[found[2]:found[3]]) != key {
			continue
		}
		lines[i] = slices.Concat(bare[:found[4]], []byte(value), line[len(bare):])
		return bytes.Join(lines, nil)
	}
	return appendLine(text, key+"="+value)
}

func appendLine(text []byte, line string) []byte {
	text = bytes.Clone(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return append(text, line+"\n"...)
}

// setLine replaces a YAML or JSON scalar on the line of its key.
func setLine(text []byte, key, value string) ([]byte, bool) {
	form := regexp.MustCompile(`(?m)^([ \t]*["']?` + regexp.QuoteMeta(key) + `["']?[ \t]*:[ \t]+)("(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'|[^"'|>&*!\s][^#,\n]*?)([ \t]*,?[ \t]*(?:#.*)?)$`)
	found := form.FindAllSubmatchIndex(text, -1)
	if len(found) != 1 {
		return nil, false
	}
	source := scalarSource(value)
	if text[found[0][4]] == '"' {
		source = quoted(value)
	}
	return slices.Concat(text[:found[0][4]], []byte(source), text[found[0][5]:]), true
}

var plainNumber = lazyregexp.New(`^(0|[1-9][0-9]*)$`)

// scalarSource writes a version as a number, and other texts in quotes.
func scalarSource(value string) string {
	if len(value) < 10 && plainNumber().MatchString(value) {
		return value
	}
	return quoted(value)
}

// quoted writes a text in double quotes for YAML and JSON.
func quoted(value string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return ""
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// setNode sets a key in the parsed text and writes the whole text again. It keeps
// comments and order, but not the layout.
func setNode(text []byte, key, value string, isJSON bool) ([]byte, bool) {
	var document yaml.Node
	if yaml.Unmarshal(text, &document) != nil || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, false
	}
	root := document.Content[0]
	scalar := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: yaml.DoubleQuotedStyle}
	if scalarSource(value) == value {
		scalar.Tag, scalar.Style = "!!int", 0
	}
	at := -1
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == key {
			at = i
		}
	}
	if at < 0 {
		name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
		if isJSON {
			name.Style = yaml.DoubleQuotedStyle
		}
		root.Content = append(root.Content, name, scalar)
	} else {
		scalar.LineComment = root.Content[at+1].LineComment
		root.Content[at+1] = scalar
	}
	out, err := yaml.Marshal(&document)
	return out, err == nil
}
