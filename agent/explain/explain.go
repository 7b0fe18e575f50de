// Package explain takes the code of a class of errors, and gives its cause, what to check, and the
// remedy. Every code of package fault has an entry.
package explain

import (
	"cmp"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// Entry describes a class of errors.
type Entry struct {
	Code   fault.Code `json:"code"`
	Title  string     `json:"title"`
	Cause  string     `json:"cause"`
	Checks []string   `json:"checks"` // commands and questions that find the cause
	Remedy string     `json:"remedy"`
}

// All lists the entries by code.
func All() []Entry {
	all := slices.Concat(here, outside, release)
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Code, b.Code) })
	return all
}

// Find gives the entry of a code. Without one, near is the most similar code, or "".
func Find(code string) (entry Entry, near string, found bool) {
	var codes []string
	for _, one := range All() {
		if strings.EqualFold(string(one.Code), code) {
			return one, "", true
		}
		codes = append(codes, string(one.Code))
	}
	return Entry{}, fault.Nearest(strings.ToLower(code), codes), false
}

// Code gives the class of an error: its own, or that of the stage in which it happened.
func Code(err error, stage record.Stage) fault.Code {
	return cmp.Or(fault.CodeOf(err), ofStage(stage))
}

func ofStage(stage record.Stage) fault.Code {
	switch stage {
	case record.StageSelect:
		return fault.CodeBranch
	case record.StageSigners:
		return fault.CodeSignature
	case record.StageFetch, record.StageLoad, record.StageRender:
		return fault.CodeFiles
	case record.StageDecrypt:
		return fault.CodeSecrets
	case record.StagePolicy:
		return fault.CodePolicy
	case record.StagePlan:
		return fault.CodePlan
	case record.StageGate:
		return fault.CodeGate
	case record.StageApply:
		return fault.CodeApply
	case record.StageVerify:
		return fault.CodeVerify
	case record.StageGuard, record.StageRollback:
		return fault.CodeRollback
	}
	return fault.CodeOther
}
