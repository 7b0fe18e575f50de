package harbor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity is the severity of a vulnerability in Harbor.
type Severity string

// The severities, starting with the worst. As in Harbor, Unknown ranks above None only.
const (
	Critical   Severity = "Critical"
	High       Severity = "High"
	Medium     Severity = "Medium"
	Low        Severity = "Low"
	Negligible Severity = "Negligible"
	Unknown    Severity = "Unknown"
	None       Severity = "None"
)

// severities lists all severities, starting with the worst.
func severities() []Severity {
	return []Severity{Critical, High, Medium, Low, Negligible, Unknown, None}
}

// rank returns the order of a severity, or 0 for an invalid one.
func (s Severity) rank() int {
	all := severities()
	slices.Reverse(all)
	return 1 + slices.Index(all, s)
}

// Reaches reports whether a severity is at or above a level.
func (s Severity) Reaches(level Severity) bool { return s.rank() >= level.rank() }

// Words returns the numbers of vulnerabilities, starting with the worst: "2 Critical, 5 High".
func (r Report) Words() string {
	var words []string
	for _, severity := range severities() {
		if n := r.Counts[severity]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, severity))
		}
	}
	return strings.Join(words, ", ")
}

// artifact is the part of Harbor's answer that is read.
type artifact struct {
	Overview map[string]summary `json:"scan_overview"`
}

// summary is a scan report of an artifact in one format.
type summary struct {
	Status   string    `json:"scan_status"`
	Severity Severity  `json:"severity"`
	End      time.Time `json:"end_time"`
	Percent  *int      `json:"complete_percent"` // of the platforms of an index
	Summary  *struct {
		Summary map[Severity]int `json:"summary"`
	} `json:"summary"`
}

// report returns the result of a successful scan. Harbor treats an index as scanned if one
// of its platforms is: then report returns the result and an error.
func (s summary) report() (Report, error) {
	switch {
	case s.Status != "Success":
		return Report{}, fmt.Errorf("the scan's state is %q", s.Status)
	case s.Severity == "":
		return Report{}, errors.New("the report has no severity")
	case s.Severity.rank() == 0:
		return Report{}, fmt.Errorf("unknown severity %q", s.Severity)
	}
	found := Report{Severity: s.Severity, Scanned: s.End}
	if s.Summary != nil {
		found.Counts = s.Summary.Summary
	}
	if s.Percent != nil && *s.Percent < 100 {
		return found, fmt.Errorf("only %d%% of its platforms are scanned", *s.Percent)
	}
	return found, nil
}
