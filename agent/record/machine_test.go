package record_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
)

var update = flag.Bool("update", false, "write docs/states.md anew")

// at is when the events of the tests happen.
var at = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// all are the states of a sync, with that of a new one.
func all() []record.State { return append([]record.State{record.New}, record.States...) }

// sample gives a sync in a state for which the conditions of the table hold, or do not.
func sample(state record.State, condition bool) *record.Sync {
	sync := &record.Sync{State: state, Transient: condition, Rollback: &record.Rollback{}}
	if !condition {
		sync.Rollback.Resumed = at
	}
	return sync
}

// want is the state after an event: "" for an event that is refused. A star marks a
// transition with a condition. It is written by hand, apart from the table.
var want = map[record.State]string{
	//                    begin   success   failure rollback   hold     pass     write    carry-on  succeed   fail   start    finish      unpin       supersede
	record.New:        "pending succeeded failed rolled_back -       -       -       -        -         -      -       -           -            -",
	record.Pending:    "-       -         -      -           waiting pending running pending  succeeded failed running -           -            superseded",
	record.Waiting:    "-       -         -      -           waiting pending -       waiting  -         failed -       -           -            superseded",
	record.Running:    "-       -         -      -           -       running running running  succeeded failed running rolled_back -            superseded",
	record.Succeeded:  "-       -         -      -           -       -       -       -        -         -      -       -           -            -",
	record.Failed:     "-       -         -      -           -       -       -       pending* -         -      running -           -            superseded*",
	record.RolledBack: "-       -         -      -           -       -       -       -        -         -      -       -           rolled_back* -",
	record.Superseded: "-       -         -      -           -       -       -       -        -         -      -       -           -            -",
}

// Every state meets every event, with and without the condition.
func TestEveryTransition(t *testing.T) {
	for _, state := range all() {
		row := strings.Fields(want[state])
		if len(row) != len(record.Events) {
			t.Fatalf("state %q: %d cells for %d events", state, len(row), len(record.Events))
		}
		for i, event := range record.Events {
			for _, condition := range []bool{true, false} {
				cell := row[i]
				if bare, conditional := strings.CutSuffix(cell, "*"); conditional {
					cell = bare
					if !condition {
						cell = "-"
					}
				}
				sync := sample(state, condition)
				err := sync.Apply(event, at)
				switch {
				case cell == "-" && (err == nil || sync.State != state):
					t.Errorf("%s in state %q (condition %t): got %q, %v, want it refused", event, state, condition, sync.State, err)
				case cell != "-" && (err != nil || sync.State != record.State(cell)):
					t.Errorf("%s in state %q (condition %t): got %q, %v, want %s", event, state, condition, sync.State, err, cell)
				}
			}
		}
	}
}

// A sync is over when it is in a final state and not tried again, and says when.
func TestFinishedFollowsState(t *testing.T) {
	for _, state := range all() {
		for _, event := range record.Events {
			sync := sample(state, true)
			if sync.State.Final() {
				sync.Finished = at
			}
			if sync.Apply(event, at) == nil && sync.State.Final() == sync.Finished.IsZero() {
				t.Errorf("%s in state %q: %q, finished %v", event, state, sync.State, sync.Finished)
			}
		}
	}
}

// Only machine.go assigns the state of a sync: in the product's code no other file of the
// agent has an assignment to a field State of a sync, or a literal that sets it.
func TestOneAssignment(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(filepath.Join(root, "agent"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "machine.go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			for _, name := range assigned(node) {
				t.Errorf("%s assigns the state of %s", path, name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// assigned names what a node assigns a record's state to.
func assigned(node ast.Node) (names []string) {
	switch node := node.(type) {
	case *ast.AssignStmt:
		for i, left := range node.Lhs {
			field, is := left.(*ast.SelectorExpr)
			if is && field.Sel.Name == "State" && (len(node.Rhs) != len(node.Lhs) || fromRecord(node.Rhs[i])) {
				names = append(names, fmt.Sprint(field.X))
			}
		}
	case *ast.KeyValueExpr:
		if key, is := node.Key.(*ast.Ident); is && key.Name == "State" && fromRecord(node.Value) {
			names = append(names, "a literal")
		}
	}
	return names
}

// fromRecord reports whether a value is a state of this package, or that of a sync.
func fromRecord(value ast.Expr) bool {
	field, is := value.(*ast.SelectorExpr)
	if !is {
		return false
	}
	base, is := field.X.(*ast.Ident)
	return is && base.Name == "record"
}

// docs/states.md is made of the table.
func TestStatesDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "states.md")
	text := record.Document()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != text {
		t.Errorf("docs/states.md is stale (%v): run `make docs`", err)
	}
	for _, state := range record.States {
		if !slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r == '`' || r == ' ' }), string(state)) {
			t.Errorf("state %s is not in the document", state)
		}
	}
}
