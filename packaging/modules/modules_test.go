package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLicences holds docs/licences.md to the modules in the agent, whose licences have to be fit.
func TestLicences(t *testing.T) {
	modules, err := inBinary("../..")
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile("../../" + documentFile)
	if err != nil {
		t.Fatalf("%v (run make licences)", err)
	}
	if diff := cmp.Diff(string(document(modules)), string(written)); diff != "" {
		t.Errorf("%s is stale, run make licences (-want +got):\n%s", documentFile, diff)
	}
	notices := string(noticesOf(modules))
	for _, one := range modules {
		if !strings.Contains(notices, "\n"+one.path+"@"+one.version+" ") {
			t.Errorf("the notices do not have the text of %s", one.path)
		}
	}
	text, err := billOf(modules, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var bill bill
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	if len(bill.Components) != len(modules) {
		t.Errorf("the bill has %d components, want %d", len(bill.Components), len(modules))
	}
	for _, one := range bill.Components {
		if strings.Contains(one.Name, "aws") || strings.Contains(one.Name, "md2man") {
			t.Errorf("the bill has %s, which is not in the agent", one.Name)
		}
	}
	cobra := slices.IndexFunc(bill.Components, func(one component) bool { return one.Name == "github.com/spf13/cobra" })
	if cobra < 0 {
		t.Fatal("the bill does not have cobra")
	}
	got := bill.Components[cobra]
	purl := "pkg:golang/" + got.Name + "@" + got.Version
	want := component{Type: "library", Ref: purl, Name: got.Name, Version: got.Version, PURL: purl, Licences: []choice{{Expression: "Apache-2.0"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		name, text, want, fails string
	}{
		{name: "wrapped and indented", text: "   Apache License\n   Version 2.0, January 2004", want: "Apache-2.0"},
		{name: "two licences", text: "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software …\n---\nLicensed under the Apache License, Version 2.0", want: "Apache-2.0 MIT"},
		{name: "BSD with the third clause", text: "Redistribution and use in source and binary forms … to endorse or promote products", want: "BSD-3-Clause"},
		{name: "BSD without", text: "Redistribution and use in source\n// and binary forms", want: "BSD-2-Clause"},
		{name: "the MPL names the GPL", text: "Mozilla Public License Version 2.0 … the GNU General Public License, Version 2.0, …", want: "MPL-2.0"},
		{name: "a notice", text: "This product includes software developed at Example Inc."},
		{name: "GPL", text: "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007", fails: "terms of another kind"},
		{name: "AGPL", text: "GNU AFFERO GENERAL PUBLIC LICENSE Version 3", fails: "terms of another kind"},
		{name: "restricted", text: "Business Source License 1.1", fails: "terms of another kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := classify(c.text)
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// TestModuleWithoutLicence refuses a module whose files have no licence.
func TestModuleWithoutLicence(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/NOTICE", []byte("Copyright Example Inc."), 0o600); err != nil {
		t.Fatal(err)
	}
	one := module{path: "example.com/x"}
	if err := one.read(dir, []string{dir}); err == nil {
		t.Error("a module without a licence is accepted")
	}
}
