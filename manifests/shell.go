package manifests

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// onlyAssignments is the hint for everything but assignments.
const onlyAssignments = "write NAME=value or export NAME=value: the agent reads this file, but does not run it"

// shellReader reads shell assignments as bash would source them with an empty
// environment. It does not run anything, and its faults do not quote values.
type shellReader struct {
	file     string
	limits   limits.Limits
	lenient  bool
	outer    map[string]Variable // set by earlier files
	assigned map[string]Variable // set by this file
	bytes    limits.Bytes        // of all values that were assigned
	faults   faults
	warnings []*fault.Error
}

func (r *shellReader) read(source []byte) {
	r.assigned = map[string]Variable{}
	r.limits = r.limits.OrDefault()
	if err := r.limits.Shell(r.at(0, 0), source); err != nil { // the parser recurses
		r.faults = append(r.faults, err)
		return
	}
	if !r.readable(source) {
		return
	}
	script, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(source), "")
	if err != nil {
		r.unreadable(err)
		return
	}
	for _, statement := range script.Stmts {
		r.statement(statement)
	}
	if r.full() {
		r.faults = append(r.faults, limits.Over(r.at(0, 0), "stack_bytes", "the values have", r.limits.StackBytes))
	}
}

// full reports whether the values are too large: each assignment can repeat those before it.
func (r *shellReader) full() bool { return r.bytes > r.limits.StackBytes }

// readable refuses invisible bytes that bash would treat as part of a name or value.
func (r *shellReader) readable(source []byte) bool {
	before := len(r.faults)
	if bytes.HasPrefix(source, []byte("\ufeff")) {
		r.faults.add(r.at(1, 1), "save the file as UTF-8 without a byte order mark", "the file starts with a byte order mark")
	}
	for i, line := range bytes.Split(source, []byte("\n")) {
		if at := bytes.IndexByte(line, '\r'); at >= 0 {
			r.faults.add(r.at(i+1, at+1), "convert the file to Unix line endings (dos2unix)", "a carriage return would become part of the value")
			break
		}
	}
	for i, line := range bytes.Split(source, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			r.faults.add(r.at(i+1, 0), "save the file as UTF-8", "the line is not UTF-8 text")
			break
		}
	}
	return len(r.faults) == before
}

func (r *shellReader) unreadable(err error) {
	place, text := r.at(0, 0), err.Error()
	if parse, ok := errors.AsType[syntax.ParseError](err); ok {
		place, text = r.position(parse.Pos), parse.Text
	} else if language, ok := errors.AsType[syntax.LangError](err); ok {
		place, text = r.position(language.Pos), language.Feature+" is not bash"
	}
	r.faults.add(place, onlyAssignments, "the file is not valid shell syntax: %s", text)
}

func (r *shellReader) statement(s *syntax.Stmt) {
	if s.Negated || s.Background || s.Coprocess || s.Disown || len(s.Redirs) > 0 {
		r.faults.add(r.position(s.Pos()), onlyAssignments, "only assignments are allowed here")
		return
	}
	switch command := s.Cmd.(type) {
	case *syntax.CallExpr:
		if len(command.Args) > 0 {
			if !exportsAll(command) {
				r.faults.add(r.position(command.Args[0].Pos()), onlyAssignments, "a command is not allowed here")
			}
			return
		}
		for _, assign := range command.Assigns {
			r.assign(assign)
		}
	case *syntax.DeclClause:
		if command.Variant.Value != "export" {
			r.faults.add(r.position(s.Pos()), onlyAssignments, "%s is not allowed here", command.Variant.Value)
			return
		}
		for _, assign := range command.Args {
			r.export(assign)
		}
	default:
		r.faults.add(r.position(s.Pos()), onlyAssignments, "only assignments are allowed here")
	}
}

// exportsAll recognises `set -a` and `set +a`, which have no effect here.
func exportsAll(command *syntax.CallExpr) bool {
	if len(command.Assigns) > 0 {
		return false
	}
	var words []string
	for _, arg := range command.Args {
		words = append(words, arg.Lit())
	}
	return slices.Contains([]string{"set -a", "set +a", "set -o allexport", "set +o allexport"}, strings.Join(words, " "))
}

func (r *shellReader) export(assign *syntax.Assign) {
	switch {
	case assign.Name == nil:
		r.faults.add(r.position(assign.Pos()), "write export NAME=value", "only names and assignments are allowed after export")
	case assign.Naked && assign.Index == nil:
		return // all assignments count, whether exported or not
	default:
		if at := unquotedBrace(assign.Value); at.IsValid() {
			r.faults.add(r.position(at), "put the value in quotes", "bash expands the braces after export")
			return
		}
		r.assign(assign)
	}
}

// reserved matches the variables that bash sets.
var reserved = regexp.MustCompile(`^(_|UID|EUID|PPID|GROUPS|RANDOM|SRANDOM|SECONDS|LINENO|EPOCHSECONDS|EPOCHREALTIME|FUNCNAME|DIRSTACK|HISTCMD|SHELLOPTS|BASHOPTS|BASHPID|BASH_.*|COMP_.*)$`)

func (r *shellReader) assign(assign *syntax.Assign) {
	if r.full() {
		return
	}
	name, place := assign.Name.Value, r.position(assign.Pos())
	before := len(r.faults)
	switch {
	case name == "": // bash treats a lone += as a command
		r.faults.add(place, onlyAssignments, "a command is not allowed here")
		return
	case reserved.MatchString(name):
		r.faults.add(place, "choose another name", "the variable %s is reserved by bash", name)
	case assign.Array != nil || assign.Index != nil:
		r.faults.add(place, onlyAssignments, "%s is set as an array", name)
	case assign.Value != nil:
		r.checkWord(assign.Value)
	}
	value := ""
	if len(r.faults) == before {
		value = r.value(assign.Value, false)
	}
	if assign.Append {
		before, _ := r.lookup(name)
		value = before + value
	}
	if !utf8.ValidString(value) {
		r.faults.add(place, "write UTF-8 text", "the value of %s is not UTF-8 text", name)
	}
	r.bytes += limits.Bytes(len(value))
	r.assigned[name] = Variable{Value: value, Place: place} // also after a fault, which prevents follow-up faults
}

// lookup returns a variable that this file or an earlier one sets.
func (r *shellReader) lookup(name string) (value string, set bool) {
	v, set := r.assigned[name]
	if !set {
		v, set = r.outer[name]
	}
	return v.Value, set
}

func (r *shellReader) at(line, column int) fault.Place {
	return fault.Place{File: r.file, Line: line, Column: column}
}

func (r *shellReader) position(p syntax.Pos) fault.Place {
	return r.at(int(p.Line()), int(p.Col()))
}
