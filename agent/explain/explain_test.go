package explain_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// TestEveryClassHasAnEntry reads the codes from the source of package fault, and demands that
// each has an entry, and that each is used.
func TestEveryClassHasAnEntry(t *testing.T) {
	const root = "../.."
	file, err := parser.ParseFile(token.NewFileSet(), root+"/internal/fault/code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{} // name to value
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if text, ok := spec.Values[0].(*ast.BasicLit); ok {
				codes[spec.Names[0].Name], _ = strconv.Unquote(text.Value)
			}
		}
		return true
	})
	if len(codes) < 15 {
		t.Fatalf("read %d codes", len(codes))
	}
	used := usedNames(t, root)
	for name, code := range codes {
		if _, _, found := explain.Find(code); !found {
			t.Errorf("%s has no entry", name)
		}
		if !used[name] {
			t.Errorf("no error has %s", name)
		}
	}
	if all := explain.All(); len(all) != len(codes) {
		t.Errorf("%d entries, %d codes", len(all), len(codes))
	}
}

// usedNames gives the names of package fault that the program uses outside of the catalogue.
func usedNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (name == "third_party" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "catalogue.go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if selected, ok := node.(*ast.SelectorExpr); ok {
				if of, ok := selected.X.(*ast.Ident); ok && of.Name == "fault" {
					used[selected.Sel.Name] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func TestCode(t *testing.T) {
	gone := fault.WithCode(errors.New("gone"), fault.CodeEngine)
	for _, test := range []struct {
		err   error
		stage record.Stage
		want  fault.Code
	}{
		{errors.New("x"), record.StageRender, fault.CodeFiles},
		{fmt.Errorf("look: %w", gone), record.StageRender, fault.CodeEngine},
		{fault.Transient(fault.WithHint(gone, "wait")), record.StagePlan, fault.CodeEngine},
		{errors.Join(errors.New("x"), gone), "", fault.CodeEngine},
		{errors.New("x"), "", fault.CodeOther},
	} {
		if got := explain.Code(test.err, test.stage); got != test.want {
			t.Errorf("%v at %q: %s, want %s", test.err, test.stage, got, test.want)
		}
	}
	if joined := fault.WithCode(errors.Join(errors.New("x"), errors.New("y")), fault.CodeSettings); len(fault.All(joined)) != 2 {
		t.Errorf("joined errors became %v", fault.All(joined))
	}
	if err := fault.WithCode(nil, fault.CodeEngine); err != nil {
		t.Error("no error has a class")
	}
}

func TestFind(t *testing.T) {
	if entry, _, found := explain.Find("ENGINE"); !found || entry.Code != fault.CodeEngine {
		t.Errorf("found %+v", entry)
	}
	if _, near, found := explain.Find("engin"); found || near != "engine" {
		t.Errorf("near engin is %q", near)
	}
	for _, entry := range explain.All() {
		if entry.Title == "" || entry.Cause == "" || len(entry.Checks) == 0 || entry.Remedy == "" {
			t.Errorf("%s is not complete", entry.Code)
		}
	}
}
