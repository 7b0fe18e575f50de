package main

import (
	"encoding/json"
	"strings"
)

// bill is a software bill of materials: CycloneDX 1.6, as far as it says something here. It has
// neither a time nor a serial number, so that the same source gives the same bytes.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type     string   `json:"type"`
	Ref      string   `json:"bom-ref"`
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Licences []choice `json:"licenses"`
	PURL     string   `json:"purl,omitempty"`
}

// choice has the licences as one expression of SPDX: all of them hold, each for its files.
type choice struct {
	Expression string `json:"expression"`
}

// billOf lists the modules in the agent of a version.
func billOf(modules []module, version string) ([]byte, error) {
	all := bill{Format: "CycloneDX", Spec: "1.6", Version: 1, Components: []component{}}
	all.Metadata.Component = component{Type: "application", Ref: "coin-agent", Name: "coin-agent", Version: version, Licences: []choice{{"Apache-2.0"}}}
	for _, one := range modules {
		name, version := one.path, one.version
		if name == standardLibrary { // as vulnerability databases call it
			name, version = "stdlib", strings.TrimPrefix(version, "go")
		}
		purl := "pkg:golang/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")
		all.Components = append(all.Components, component{
			Type: "library", Ref: purl, Name: name, Version: version,
			Licences: []choice{{strings.Join(one.licences, " AND ")}}, PURL: purl,
		})
	}
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}
