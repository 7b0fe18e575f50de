// Package structure_test reads the product code, without tests and their tools, and fails where
// it grows out of the limits of CONTRIBUTING.md that the linter does not know.
package structure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "coin.internal/coin-agent/"

	mostMethods   = 25 // of a type
	longest       = 60 // lines of a function, without its first and its last
	longestOfMost = 45 // lines of 95 of 100 functions
	loopFiles     = 10 // of the package agent
	loopLines     = 1500
)

// file is a file of product code.
type file struct {
	folder string // from the root of the module
	lines  int
	syntax *ast.File
}

// notProduct are folders whose code is not in the agent.
var notProduct = []string{"testdata", "third_party", "examples", "simulation"}

// product reads the product code.
func product(t *testing.T) (set *token.FileSet, files []file) {
	t.Helper()
	const root = "../.."
	set = token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		base := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(base, ".") || strings.HasSuffix(base, "test") || slices.Contains(notProduct, base)):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil {
			files = append(files, file{filepath.ToSlash(folder), set.File(syntax.FileStart).LineCount() - 1, syntax})
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	return set, files
}

// TestMethodSets keeps types small: one with many methods has several purposes.
func TestMethodSets(t *testing.T) {
	_, files := product(t)
	methods := map[string]int{}
	for _, f := range files {
		for _, one := range functions(f) {
			if one.Recv != nil {
				methods[f.folder+"."+named(one.Recv.List[0].Type)]++
			}
		}
	}
	for name, count := range methods {
		if count > mostMethods {
			t.Errorf("%s has %d methods: split it by purpose, %d are allowed", name, count, mostMethods)
		}
	}
}

// TestNoTypeEmbedsOurs keeps methods and fields where they are declared: with an embedded type a
// reader has to know both.
func TestNoTypeEmbedsOurs(t *testing.T) {
	set, files := product(t)
	declared := map[string]bool{}
	for _, f := range files {
		for _, declaration := range f.syntax.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				if one, ok := spec.(*ast.TypeSpec); ok {
					declared[f.folder+"."+one.Name.Name] = true
				}
			}
		}
	}
	for _, f := range files {
		imported := imports(f)
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			one, ok := node.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range one.Fields.List {
				name := named(field.Type)
				from, _, qualified := strings.Cut(name, ".")
				if len(field.Names) == 0 && (qualified && strings.HasPrefix(imported[from], module) || declared[f.folder+"."+name]) {
					t.Errorf("%s: a struct embeds %s: give the field a name", set.Position(field.Pos()), name)
				}
			}
			return true
		})
	}
}

// TestFunctionsAreShort keeps most functions on one screen; generated ones do not count.
func TestFunctionsAreShort(t *testing.T) {
	set, files := product(t)
	var lengths []int
	for _, f := range files {
		if ast.IsGenerated(f.syntax) {
			continue
		}
		for _, one := range functions(f) {
			first, last := set.Position(one.Pos()), set.Position(one.End())
			length := last.Line - first.Line - 1 - comments(set, f, one)
			if lengths = append(lengths, length); length > longest {
				t.Errorf("%s: %s has %d lines, %d are allowed", first, one.Name.Name, length, longest)
			}
		}
	}
	slices.Sort(lengths)
	if at := lengths[len(lengths)*95/100]; at > longestOfMost {
		t.Errorf("5 of 100 functions have %d lines or more: %d are allowed", at, longestOfMost)
	}
}

// TestLoopIsSmall keeps the package agent to the loop. What it asks is in rooms of their own.
func TestLoopIsSmall(t *testing.T) {
	_, files := product(t)
	count, lines := 0, 0
	for _, f := range files {
		if f.folder == "agent" {
			count, lines = count+1, lines+f.lines
		}
	}
	if count > loopFiles || lines > loopLines || count == 0 {
		t.Errorf("the package agent has %d files and %d lines: move a purpose to a room, %d and %d are allowed", count, lines, loopFiles, loopLines)
	}
}

func functions(f file) (all []*ast.FuncDecl) {
	for _, declaration := range f.syntax.Decls {
		if one, ok := declaration.(*ast.FuncDecl); ok {
			all = append(all, one)
		}
	}
	return all
}

// comments counts the lines of a function that have a comment only.
func comments(set *token.FileSet, f file, in *ast.FuncDecl) int {
	if in.Body == nil {
		return 0
	}
	code := map[int]bool{}
	ast.Inspect(in.Body, func(node ast.Node) bool {
		if node != nil {
			code[set.Position(node.Pos()).Line], code[set.Position(node.End()).Line] = true, true
		}
		return true
	})
	count := 0
	for _, group := range f.syntax.Comments {
		for _, one := range group.List {
			if line := set.Position(one.Pos()).Line; one.Pos() > in.Body.Pos() && one.End() < in.End() && !code[line] {
				count++
			}
		}
	}
	return count
}

// imports gives the paths of what a file imports, by the names that it uses.
func imports(f file) map[string]string {
	all := map[string]string{}
	for _, one := range f.syntax.Imports {
		from, _ := strconv.Unquote(one.Path.Value) // the parser has read it
		name := path.Base(from)
		if one.Name != nil {
			name = one.Name.Name
		}
		all[name] = from
	}
	return all
}

// named gives the name of a type without pointers and parameters.
func named(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return named(of.X)
	case *ast.IndexExpr:
		return named(of.X)
	case *ast.IndexListExpr:
		return named(of.X)
	case *ast.SelectorExpr:
		return named(of.X) + "." + of.Sel.Name
	case *ast.Ident:
		return of.Name
	}
	return ""
}
