package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// issue is a finding in GitLab's Code Quality report.
type issue struct {
	Description string        `json:"description"`
	CheckName   string        `json:"check_name"`
	Fingerprint string        `json:"fingerprint"`
	Severity    string        `json:"severity"` // major, or minor for a warning
	Location    issueLocation `json:"location"`
}

type issueLocation struct {
	Path  string `json:"path"`
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// codeQuality gives the findings as GitLab's Code Quality report, each once. The
// fingerprint is that of file and message, so it survives a change of lines.
func codeQuality(results []desired.Checked) []issue {
	issues := []issue{}
	seen := map[desired.Problem]bool{}
	times := map[string]int{}
	add := func(result desired.Checked, severity string, problems []desired.Problem) {
		for _, one := range problems {
			one = printed(one)
			if seen[one] {
				continue
			}
			seen[one] = true
			file := cmp.Or(one.Place.File, path.Join("environments", result.Environment, "config.yml"))
			id := file + "\x00" + lasting(one.Message)
			times[id]++
			sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", id, times[id]))
			found := issue{
				Description: strings.TrimSuffix(one.Message+" (hint: "+one.Hint+")", " (hint: )"), CheckName: "agent check",
				Fingerprint: hex.EncodeToString(sum[:]), Severity: severity, Location: issueLocation{Path: file},
			}
			found.Location.Lines.Begin = max(one.Place.Line, 1)
			issues = append(issues, found)
		}
	}
	for _, result := range results {
		add(result, "major", result.Problems)
		add(result, "minor", result.Warnings)
	}
	return issues
}

// printed gives a problem without characters that control a terminal.
func printed(one desired.Problem) desired.Problem {
	one.Place.File, one.Message, one.Hint = printable(one.Place.File), printable(one.Message), printable(one.Hint)
	return one
}

var lineNumbers = lazyregexp.New(`\bline \d+`)

// lasting gives a message without line numbers.
func lasting(message string) string { return lineNumbers().ReplaceAllString(message, "line") }

// testSuite is the result of one node in the JUnit format.
type testSuite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Failure *testFailure `xml:"failure,omitempty"`
	Output  string       `xml:"system-out,omitempty"`
}

type testFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// printJUnit writes a test suite for each result: a failed test for each problem, and a
// test with the warnings, which passes.
func printJUnit(w io.Writer, results []desired.Checked) error {
	report := struct {
		XMLName xml.Name    `xml:"testsuites"`
		Suites  []testSuite `xml:"testsuite"`
	}{}
	for _, result := range results {
		name := printable(result.Name())
		if result.Files > 0 {
			name = strings.TrimSuffix("no plaintext secrets: "+name, ": ")
		}
		suite := testSuite{Name: name, Failures: len(result.Problems), Tests: len(result.Problems) + 1}
		times := map[string]int{}
		for _, one := range result.Problems {
			one = printed(one)
			test := testCase{Class: name, Name: lasting(one.Message), File: one.Place.File}
			if times[test.File+test.Name]++; times[test.File+test.Name] > 1 {
				test.Name += fmt.Sprintf(" (%d)", times[test.File+test.Name])
			}
			test.Failure = &testFailure{Message: one.Message, Text: lines(one)}
			suite.Cases = append(suite.Cases, test)
		}
		var warnings strings.Builder
		for _, one := range result.Warnings {
			warnings.WriteString("warning: " + lines(printed(one)))
		}
		suite.Cases = append(suite.Cases, testCase{Class: name, Name: "all files were read", Output: warnings.String()})
		report.Suites = append(report.Suites, suite)
	}
	text, err := xml.MarshalIndent(report, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// lines gives a problem as text: its place, its message and its hint.
func lines(one desired.Problem) string {
	text := strings.TrimPrefix(one.Place.String()+": "+one.Message, ": ") + "\n"
	if one.Hint != "" {
		text += "hint: " + one.Hint + "\n"
	}
	return text
}
