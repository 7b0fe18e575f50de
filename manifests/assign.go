package manifests

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// SetVersion returns node.env or secrets.override.env with the version variable
// name (such as SV_db_access) set to version. It keeps the form of an existing
// assignment and all other lines; without an assignment it adds a line.
func SetVersion(file string, content []byte, name, version string) ([]byte, error) {
	return SetVariable(file, content, name, version)
}

// SetVariable sets a variable as SetVersion does. The value has only letters, digits, dots,
// hyphens and underscores, as the present one must.
func SetVariable(file string, content []byte, name, value string) ([]byte, error) {
	if !plainValue.MatchString(value) {
		return nil, fault.New(fault.Place{File: file}, "use letters, digits, dots, hyphens and underscores", "%q is not a plain value for %s", value, name)
	}
	script, err := parseAssignments(file, content)
	if err != nil {
		return nil, err
	}
	last := map[string]*syntax.Assign{} // the last assignment of each spelling
	syntax.Walk(script, func(node syntax.Node) bool {
		assign, ok := node.(*syntax.Assign)
		if ok && assign.Name != nil && !assign.Naked && spells(file, assign.Name.Value, name) {
			last[assign.Name.Value] = assign
		}
		return true
	})
	if len(last) == 0 {
		return addLine(content, name+"="+value), nil
	}
	fromEnd := func(a, b *syntax.Assign) int { return int(b.Pos().Offset()) - int(a.Pos().Offset()) }
	for _, assign := range slices.SortedFunc(maps.Values(last), fromEnd) { // so that earlier offsets stay valid
		start, end, ok := literal(content, assign)
		if !ok {
			return nil, fault.New(fault.Place{File: file, Line: int(assign.Pos().Line()), Column: int(assign.Pos().Col())},
				"write it as a plain value: "+name+"="+value, "the value of %s is not a plain text", name)
		}
		content = slices.Concat(content[:start], []byte(value), content[end:])
	}
	return content, nil
}

func parseAssignments(file string, content []byte) (*syntax.File, error) {
	if err := limits.Default().Shell(fault.Place{File: file}, content); err != nil {
		return nil, err
	}
	script, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(content), "")
	if err != nil {
		return nil, fault.New(fault.Place{File: file}, onlyAssignments, "the file is not shell syntax")
	}
	return script, nil
}

// spells reports whether a variable of the file sets the version. In an override
// file x_VERSION sets SV_x.
func spells(file, variable, version string) bool {
	return variable == version || path.Base(file) == "secrets.override.env" && versionVariable(variable) == version
}

// literal returns the range of an assignment's value, without its quotes, if the
// value has only plain characters.
func literal(content []byte, assign *syntax.Assign) (start, end int, ok bool) {
	if assign.Append || assign.Index != nil || assign.Array != nil {
		return 0, 0, false
	}
	if assign.Value == nil { // NAME=
		end := int(assign.End().Offset())
		return end, end, true
	}
	start, end = int(assign.Value.Pos().Offset()), int(assign.Value.End().Offset())
	if text := content[start:end]; len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		start, end = start+1, end-1
	}
	return start, end, plainValue.Match(content[start:end])
}

func addLine(content []byte, line string) []byte {
	content = bytes.Clone(content)
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	return append(content, line+"\n"...)
}
