package manifests

import (
	"bytes"
	"slices"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/fault"
)

// Commented is an assignment that CommentOut has made a comment.
type Commented struct {
	Name  string
	Place fault.Place
	Text  string // its lines, as they were
}

// CommentOut returns node.env with the assignments of the wanted variables made comments, and
// lists these in the order of the file. All other lines stay as they are. It is an error if one
// shares a line with something else.
func CommentOut(file string, content []byte, wanted func(name string) bool) ([]byte, []Commented, error) {
	script, err := parseAssignments(file, content)
	if err != nil {
		return nil, nil, err
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	last := 0 // the last line of the statement before
	var commented []Commented
	for i, statement := range script.Stmts {
		first, end := int(statement.Pos().Line()), int(statement.End().Line())
		names := assigned(statement)
		hit := slices.ContainsFunc(names, wanted)
		shared := first == last || i+1 < len(script.Stmts) && int(script.Stmts[i+1].Pos().Line()) == end
		if hit && (shared || len(names) > 1) {
			return nil, nil, fault.New(fault.Place{File: file, Line: first}, "write each assignment on a line of its own", "a TAG_ variable shares its line with another assignment")
		}
		if hit {
			text := bytes.TrimRight(bytes.Join(lines[first-1:end], nil), "\n")
			commented = append(commented, Commented{names[0], fault.Place{File: file, Line: first}, string(text)})
			for at := first - 1; at < end; at++ {
				lines[at] = append([]byte("#"), lines[at]...)
			}
		}
		last = end
	}
	return bytes.Join(lines, nil), commented, nil
}

// assigned lists the variables that a statement sets.
func assigned(statement *syntax.Stmt) (names []string) {
	var all []*syntax.Assign
	switch command := statement.Cmd.(type) {
	case *syntax.CallExpr:
		all = command.Assigns
	case *syntax.DeclClause:
		all = command.Args
	}
	for _, one := range all {
		if one.Name != nil {
			names = append(names, one.Name.Value)
		}
	}
	return names
}
