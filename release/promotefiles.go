package release

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// tagVariable is the variable of the release.
const tagVariable = "TAG"

// isRelease reports whether a variable of that name belongs to the release, and moves with it.
func isRelease(name string, config *manifests.Config) bool {
	return name == tagVariable || strings.HasPrefix(name, "TAG_") || name == "RELEASE_VERSION" || name == "TASK_ID" ||
		name == config.Deployment.MigrationCheck.ExpectedVariable
}

// released gives the variables of the release that the node's files of variables set, and the
// migration ID of its settings.
func (s *side) released() map[string]string {
	all := map[string]string{}
	if expected := s.node.Config.Deployment.MigrationCheck.ExpectedVariable; expected != "" {
		for _, file := range s.files.settings {
			if value, set := settingsIn(s.content(file))[expected]; set {
				all[expected] = strings.Trim(strings.TrimSpace(value), `"'`)
			}
		}
	}
	for name, v := range s.node.Variables {
		if v.Value != "" && isRelease(name, s.node.Config) && slices.Contains(s.files.variables, v.Place.File) {
			all[name] = v.Value
		}
	}
	return all
}

// variables moves the release, its version, task and migration. A service's own release that
// From does not have ends.
func (p *promoter) variables(from, to *side) {
	fresh, present := from.released(), to.released()
	for _, name := range sorted(fresh) {
		target := name
		if name == from.node.Config.Deployment.MigrationCheck.ExpectedVariable {
			target = to.node.Config.Deployment.MigrationCheck.ExpectedVariable
		}
		if present[target] == fresh[name] {
			continue
		}
		file := to.setBy(target)
		if slices.Contains(to.files.settings, file) {
			p.change(file, func(before []byte) ([]byte, error) { return setLine(before, target, fresh[name]), nil })
			continue
		}
		p.change(file, func(before []byte) ([]byte, error) {
			return manifests.SetVariable(file, before, target, fresh[name])
		})
	}
	for _, name := range sorted(present) {
		if _, kept := fresh[name]; kept || !strings.HasPrefix(name, "TAG_") {
			continue
		}
		p.plan.Dropped = append(p.plan.Dropped, Dropped{to.node.Name, name, present[name]})
		for _, file := range to.files.variables {
			p.change(file, func(before []byte) ([]byte, error) {
				after, _, err := manifests.CommentOut(file, before, func(one string) bool { return one == name })
				return after, err
			})
		}
	}
}

// setBy gives the file of the node that sets a variable of the release, or else that would.
func (s *side) setBy(name string) string {
	if v, set := s.node.Variables[name]; set && slices.Contains(s.files.variables, v.Place.File) {
		return v.Place.File
	}
	if name == s.node.Config.Deployment.MigrationCheck.ExpectedVariable {
		for _, file := range slices.Backward(s.files.settings) {
			if _, set := settingsIn(s.content(file))[name]; set {
				return file
			}
		}
	}
	return s.files.variables[len(s.files.variables)-1]
}

// composeFiles moves the compose files, and what they name. The lines that the node alone has
// stay: the changes are those that From had since it had To's release.
func (p *promoter) composeFiles(ctx context.Context, from, to *side) error {
	base, err := p.past(ctx, from, to.node.Variables[tagVariable].Value)
	if err != nil {
		return err
	}
	var conflicts []error
	for _, file := range slices.Concat(from.files.compose, from.files.others) {
		target := to.mine(from, file)
		if target == file || secrets.Encrypted(secrets.File{Path: file, Data: []byte(from.content(file))}, false) {
			continue // all environments have the same file, or it is a secret
		}
		p.files[path.Base(file)], p.files[path.Base(target)] = true, true
		if !p.takes(from, to, file) {
			p.plan.LeftOut = append(p.plan.LeftOut, file)
			continue
		}
		conflicts = append(conflicts, p.composeFile(base, [2]*side{from, to}, file, target))
	}
	return errors.Join(conflicts...)
}

// takes reports whether the node gets a compose file, or a file that one names. A further compose
// file that it lacks may be one that only From needs, such as a test shop.
func (p *promoter) takes(from, to *side, file string) bool {
	further := slices.Contains(from.files.compose, file) && path.Base(file) != "docker-compose.yml"
	return !further || to.has(to.mine(from, file)) || slices.Contains(p.asked.Files, path.Base(file))
}

// composeFile moves one file.
func (p *promoter) composeFile(base *side, of [2]*side, file, target string) error {
	from, to := of[0], of[1]
	before, after := to.content(target), from.content(file)
	switch {
	case before == after:
		return nil
	case !to.has(target), slices.Contains(p.asked.Replace, path.Base(target)):
	case base == nil:
		return fault.New(fault.Place{File: target}, fmt.Sprintf("--replace %s takes the file of %s; or move the changes by hand, and promote again", path.Base(target), from.node.Environment),
			"the file differs from %s, and the history has no release that both had", file)
	default:
		merged, conflicts := proposal.Merge(base.content(file), before, after)
		if len(conflicts) > 0 {
			first := conflicts[0]
			return fault.New(fault.Place{File: target, Line: first.Line},
				fmt.Sprintf("--replace %s takes the file of %s; or make the change by hand, and promote again", path.Base(target), from.node.Environment),
				"%s and %s have both changed these lines (%d such places)", from.node.Environment, to.node.Environment, len(conflicts))
		}
		for _, line := range proposal.Beside(merged, before, after) {
			p.plan.Beside = append(p.plan.Beside, fault.Place{File: target, Line: line}.String())
		}
		after = merged
	}
	p.change(target, func([]byte) ([]byte, error) { return []byte(after), nil })
	return nil
}

// settings finds what the node lacks, and sets what has an answer.
func (p *promoter) settings(from, to *side) error {
	have := settingsOf(to)
	given := func(name string) bool {
		v, set := to.node.Variables[name]
		_, all := to.node.Config.Deployment.FeatureFlags["all"]
		return have[name] || set && v.Given || all && strings.HasPrefix(name, "FEATURE_")
	}
	for i, file := range from.files.settings {
		values := settingsIn(from.content(file))
		for _, name := range sorted(values) {
			if given(name) || isRelease(name, from.node.Config) {
				continue
			}
			lacks := newLacking(name, values[name], file)
			lacks.Node, lacks.File = to.node.Name, path.Join(to.node.Dir, "project.env")
			if len(to.entry.ProjectFiles) > 0 {
				lacks.File = to.files.settings[1]
			}
			if i == 0 { // the whole environment's
				lacks.Node, lacks.File = "", to.files.settings[0]
			}
			if err := p.answer(lacks); err != nil {
				return err
			}
		}
	}
	return p.lackingVariables(from, to)
}

// lackingVariables finds the variables that the node lacks.
func (p *promoter) lackingVariables(from, to *side) error {
	for _, name := range sorted(from.node.Variables) {
		v := from.node.Variables[name]
		if _, set := to.node.Variables[name]; set || isRelease(name, from.node.Config) || strings.HasPrefix(name, "SV_") || !slices.Contains(from.files.variables, v.Place.File) {
			continue
		}
		lacks := newLacking(name, v.Value, v.Place.String())
		lacks.Node, lacks.File, lacks.shell = to.node.Name, to.files.variables[len(to.files.variables)-1], true
		if err := p.answer(lacks); err != nil {
			return err
		}
	}
	return nil
}

// settingsOf gives the names that the files of settings set.
func settingsOf(s *side) map[string]bool {
	have := map[string]bool{}
	for _, file := range s.files.settings {
		for name := range settingsIn(s.content(file)) {
			have[name] = true
		}
	}
	return have
}

// answer sets a setting that is lacking, or adds it to the list.
func (p *promoter) answer(lacks Lacking) error {
	fits := func(a Answer) bool { return a.Name == lacks.Name && (a.Node == "" || a.Node == lacks.Node) }
	at := slices.IndexFunc(p.asked.Answers, func(a Answer) bool { return fits(a) && a.Node != "" })
	if at < 0 {
		at = slices.IndexFunc(p.asked.Answers, fits)
	}
	switch {
	case at < 0 && slices.Contains(p.asked.Leave, lacks.Name):
		p.plan.Left = append(p.plan.Left, lacks.Name)
		slices.Sort(p.plan.Left)
		p.plan.Left = slices.Compact(p.plan.Left)
		return nil
	case at < 0:
		p.plan.Lacking = append(p.plan.Lacking, lacks)
		return nil
	}
	value := p.asked.Answers[at].Value
	if lacks.secret || secrets.Suspicious(lacks.Name, value) {
		return lacks.refuse()
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fault.New(fault.Place{}, "give it in one line", "the value of %s has a control character", lacks.Name)
	}
	if lacks.shell {
		quoted, err := syntax.Quote(value, syntax.LangBash)
		if err != nil {
			return fault.New(fault.Place{}, "give another value", "the value of %s cannot be written in shell syntax", lacks.Name)
		}
		value = quoted
	}
	p.answered[p.asked.Answers[at]] = true
	p.change(lacks.File, func(before []byte) ([]byte, error) { return setLine(before, lacks.Name, value), nil })
	return nil
}

// setLine sets a setting of an env file: in the last line that has it, or in a new one.
func setLine(before []byte, name, value string) []byte {
	content := string(before)
	all := proposal.Lines(content)
	for i, line := range slices.Backward(all) {
		if setting, _, assigned := strings.Cut(line, "="); assigned && strings.TrimSpace(setting) == name {
			ending := strings.TrimPrefix(line, strings.TrimRight(line, "\r\n"))
			all[i] = setting + "=" + value + ending
			return []byte(strings.Join(all, ""))
		}
	}
	if len(all) > 0 && !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	return []byte(content + name + "=" + value + "\n")
}
