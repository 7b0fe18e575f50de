package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// legal matches the names of files with licences and notices.
var legal = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|notice|patents|copyright)([.-].*)?$`)

func isLegal(name string) bool { return legal.MatchString(name) && !strings.HasSuffix(name, ".go") }

// fit are the licences under which the agent may contain code, by a sentence of each that no
// other one has.
var fit = []struct{ licence, sentence string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"Apache-2.0", "apache license, version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"CC0-1.0", "cc0 1.0 universal"},
}

// unfit begin the texts of licences that ask more of the whole program.
var unfit = regexp.MustCompile(`gnu (lesser |library |affero )?general public license,? (version|v)|eclipse public license|common development and distribution license|server side public license|business source license|commons clause|non-?commercial`)

// classify gives the licences in a text: none for a notice or a grant of patents.
func classify(text string) ([]string, error) {
	plain := strings.ToLower(strings.Join(strings.Fields(strings.NewReplacer("*", " ", "#", " ", "//", " ").Replace(text)), " "))
	found := map[string]bool{}
	for _, one := range fit {
		if strings.Contains(plain, one.sentence) {
			found[one.licence] = true
		}
	}
	if strings.Contains(plain, "redistribution and use in source and binary forms") {
		if strings.Contains(plain, "endorse or promote") {
			found["BSD-3-Clause"] = true
		} else {
			found["BSD-2-Clause"] = true
		}
	}
	if terms := unfit.FindString(plain); terms != "" && !found["MPL-2.0"] { // MPL-2.0 names the GPL as a further choice
		return nil, fmt.Errorf("it has terms of another kind: %q", terms)
	}
	return sortedKeys(found), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
