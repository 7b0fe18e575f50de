package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/policy"
)

// Wrong lists what is wrong with a node beside its services, with the remedies: errors of the
// look and of the last sync, unless that was rolled back, and those of GitLab, the receivers of notices and the places of
// anchors.
func Wrong(s *Status) []record.Fault {
	if s.Sync == nil {
		return wrong(s)
	}
	return s.Sync.Key.Named(wrong(s))
}

// faults is a list of what is wrong.
type faults []record.Fault

func (f *faults) add(hint, format string, args ...any) {
	*f = append(*f, record.Fault{Error: fmt.Sprintf(format, args...), Hint: hint})
}

func wrong(s *Status) []record.Fault {
	var list faults
	if s.FailedLook() {
		list.add(s.PollHint, "%s", s.PollError)
	}
	if s.Sync != nil {
		list = append(list, wrongWithSync(s.Sync)...)
	}
	list = append(list, s.Forbidden...)
	for _, one := range s.Contests {
		list.add("", "%s", ContestText(s.Stack, one))
	}
	if p := s.Policy; p != nil && p.Error != "" {
		list.add(p.Hint, "The policy was not reloaded: %s", p.Error)
	}
	return append(list, notTaken(s)...)
}

// FailedLook reports whether the last look failed, and no error of the last sync says why.
func (s *Status) FailedLook() bool {
	if s.PollError == "" || s.Sync == nil {
		return s.PollError != ""
	}
	faults := s.Sync.All()
	return len(faults) == 0 || !strings.HasPrefix(s.PollError, faults[0].Error)
}

// Warnings lists what a user should know of a node, and that stops nothing: what the last sync
// warns of, a policy that is not set, and what GitLab and receivers of notices have refused.
func Warnings(s *Status) []record.Fault {
	var list faults
	if s.Sync != nil {
		const most = 3
		for _, one := range s.Sync.Warnings[:min(len(s.Sync.Warnings), most)] {
			list.add("", "%s", one)
		}
		if more := len(s.Sync.Warnings) - most; more > 0 {
			list.add(fmt.Sprintf("`agent show %d` lists them", s.Sync.ID), "%s", plural.Count(more, "more warning"))
		}
	}
	if s.Policy != nil && s.Policy.Rules == nil {
		list.add("`agent policy suggest` prints one for agent.yml", "%s", policy.Warning)
	}
	if s.GitLab != nil && s.GitLab.Refused != nil {
		r := s.GitLab.Refused
		list.add("", "GitLab refused the status %s of %s: %s", r.Report.State, record.Short(r.Report.Commit), r.Reason)
	}
	if v := s.Vault; v != nil {
		for _, one := range v.Newer {
			list.add(one.Hint(), "%s", one.Text())
		}
		if v.Error != "" {
			list.add(v.Hint, "the newest versions of secrets in Vault are not known: %s", v.Error)
		}
	}
	if s.Notices != nil {
		for _, receiver := range s.Notices.Receivers {
			if refused := receiver.Refused; refused != nil {
				list.add(refused.Hint, "%s: refused %q: %s", receiver.String(), refused.Title, refused.Reason)
			}
		}
	}
	return list
}

// WasWrong lists why the last sync was rolled back: nothing of it is wrong with the node now.
func WasWrong(s *Status) []record.Fault {
	if s.Sync == nil || s.Sync.State != record.RolledBack {
		return nil
	}
	return s.Sync.All()
}

// wrongWithSync lists the errors of the last sync that failed, and why it was not rolled back.
func wrongWithSync(sync *record.Sync) (list []record.Fault) {
	if sync.State != record.Succeeded && sync.State != record.RolledBack {
		list = append(list, sync.All()...)
	}
	if back := sync.Rollback; back != nil && !sync.Unchanged && sync.State != record.RolledBack && back.Refused != "" {
		list = append(list, record.Fault{Error: "not rolled back: " + back.Refused, Hint: back.Hint})
	}
	return list
}

// notTaken lists what others do not take from the agent.
func notTaken(s *Status) []record.Fault {
	var list faults
	if g := s.GitLab; g != nil && g.LastError != "" {
		list.add(g.Hint, "GitLab: %s; %s not delivered", g.LastError, plural.Count(g.Undelivered, "report"))
	}
	for _, token := range s.Tokens {
		for _, one := range token.Problems {
			list.add(one.Hint, "GitLab token %s: %s", token.Setting, one.Text)
		}
	}
	for _, place := range s.Anchors {
		if place.Error != "" {
			list.add(place.Hint, "%s: %d entries of the audit log not anchored: %s", place.Place, place.Left, place.Error)
		}
	}
	if s.Notices == nil {
		return list
	}
	for _, receiver := range s.Notices.Receivers {
		if problem := receiver.Problem; problem != nil {
			list.add(problem.Hint, "%s: %s", receiver.String(), problem.Error)
		}
	}
	return list
}
