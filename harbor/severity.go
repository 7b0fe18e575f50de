package harbor

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Severity is how bad a vulnerability is, in Harbor's words.
type Severity string

// The severities, from the worst on. Unknown ones count as none, as in Harbor's
// own rules.
const (
	Critical   Severity = "Critical"
	High       Severity = "High"
	Medium     Severity = "Medium"
	Low        Severity = "Low"
	Negligible Severity = "Negligible"
	Unknown    Severity = "Unknown"
	None       Severity = "None"
)

// severities lists all, from the worst on.
func severities() []Severity {
	return []Severity{Critical, High, Medium, Low, Negligible, Unknown, None}
}

// rank orders severities; 0 is none that is known.
func (s Severity) rank() int {
	all := severities()
	for i, one := range all {
		if s == one {
			return len(all) - i
		}
	}
	return 0
}

// Reaches tells whether a severity is at or above a level.
func (s Severity) Reaches(level Severity) bool { return s.rank() >= level.rank() }

// Words counts the vulnerabilities from the worst on: "2 Critical, 5 High".
func (r Report) Words() string {
	var words []string
	for _, severity := range severities() {
		if n := r.Counts[severity]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, severity))
		}
	}
	return strings.Join(words, ", ")
}

// artifact is what is read of Harbor's answer.
type artifact struct {
	Overview map[string]summary `json:"scan_overview"`
}

// summary is what a scanner tells of an artifact in one form of report.
type summary struct {
	Status   string    `json:"scan_status"`
	Severity Severity  `json:"severity"`
	End      time.Time `json:"end_time"`
	Percent  *int      `json:"complete_percent"` // of the platforms of an index
	Summary  *struct {
		Summary map[Severity]int `json:"summary"`
	} `json:"summary"`
}

// report gives the result of a scan that is over and went well. To Harbor an index is
// scanned when one of its platforms is: the error says then that more may be found.
func (s summary) report() (Report, error) {
	switch {
	case s.Status != "Success":
		return Report{}, fmt.Errorf("the scan's state is %q", s.Status)
	case s.Severity == "":
		return Report{}, errors.New("it says nothing of a severity")
	case s.Severity.rank() == 0:
		return Report{}, fmt.Errorf("it says %q, which is no severity", s.Severity)
	}
	found := Report{Severity: s.Severity, Scanned: s.End}
	if s.Summary != nil {
		found.Counts = s.Summary.Summary
	}
	if s.Percent != nil && *s.Percent < 100 {
		return found, fmt.Errorf("only %d percent of its platforms are scanned", *s.Percent)
	}
	return found, nil
}
