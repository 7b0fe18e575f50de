package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

const aDay = 24 * time.Hour

// Versions lists the versions of an owner's secrets and configs, with the reasons why
// each stays. They are sorted by kind (secrets first) and key, the newest of each key
// first. If neither a service nor a good state refers to a key any more, its versions stay
// only for the time of the retention.
func (i *Inventory) Versions(keep Retention) []Version {
	all := i.versions(keep)
	slices.SortFunc(all, compareVersions)
	users := i.users()
	for n := range all {
		all[n].judgeUse(users, keep)
	}
	for rest := all; len(rest) > 0; {
		end := slices.IndexFunc(rest, func(v Version) bool { return v.group() != rest[0].group() })
		if end < 0 {
			end = len(rest)
		}
		judgeKey(rest[:end], keep)
		rest = rest[end:]
	}
	return all
}

// versions lists the objects of the inventory that concern an owner: its own objects,
// those of the good states, and other objects with the same key.
func (i *Inventory) versions(keep Retention) []Version {
	var all []Version
	for _, secret := range i.Secrets {
		all = append(all, newVersion(Secret, secret.ID, secret.Spec.Annotations, secret.Meta))
	}
	for _, config := range i.Configs {
		all = append(all, newVersion(Config, config.ID, config.Spec.Annotations, config.Meta))
	}
	concern := map[object]bool{}
	for _, version := range all {
		if keep.Own(version) || slices.ContainsFunc(keep.Good, func(g GoodState) bool { return g.has(version) }) {
			concern[version.group()] = true
		}
	}
	return slices.DeleteFunc(all, func(v Version) bool { return !concern[v.group()] })
}

func newVersion(kind Kind, id string, annotations swarm.Annotations, meta swarm.Meta) Version {
	key, version := annotations.Name, ""
	if dot := strings.LastIndex(annotations.Name, "."); dot > 0 {
		key, version = annotations.Name[:dot], annotations.Name[dot+1:]
	}
	return Version{
		Kind: kind, Name: annotations.Name, Key: key, Version: version, ID: id,
		Created: meta.CreatedAt, Owner: annotations.Labels[compose.LabelOwner], Stack: annotations.Labels[compose.LabelStack],
	}
}

// group is what all versions of a key have in common.
func (v Version) group() object { return object{v.Kind, v.Key} }

// compareVersions puts the newest version of a key first: by its creation time, then by
// its number.
func compareVersions(a, b Version) int {
	return cmp.Or(
		-strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Key, b.Key), b.Created.Compare(a.Created),
		cmp.Compare(versionNumber(b), versionNumber(a)), strings.Compare(b.Name, a.Name),
	)
}

func versionNumber(v Version) int {
	number, err := strconv.Atoi(v.Version)
	if err != nil {
		return -1
	}
	return number
}

// user is a service that refers to secrets and configs, now and before its last update.
type user struct {
	service     string
	now, before []use
}

func (i *Inventory) users() []user {
	all := make([]user, 0, len(i.Services))
	for _, name := range keys(i.Services) {
		one := user{service: name, now: references(i.Services[name].Spec)}
		if previous := i.Services[name].PreviousSpec; previous != nil {
			one.before = references(*previous)
		}
		all = append(all, one)
	}
	return all
}

// judgeUse sets the services that use a version, and the reasons that follow from this
// and from the good states.
func (v *Version) judgeUse(users []user, keep Retention) {
	ofVersion := func(one use) bool { return one.kind == v.Kind && (one.id == v.ID || one.name == v.Name) }
	var services, formerly []string
	for _, user := range users {
		uses := len(v.Uses)
		for _, one := range user.now {
			if ofVersion(one) {
				v.Uses = append(v.Uses, Use{Service: user.service, Target: one.target})
			}
		}
		switch {
		case len(v.Uses) > uses:
			services = append(services, user.service)
		case slices.ContainsFunc(user.before, ofVersion):
			formerly = append(formerly, user.service)
		}
	}
	if len(services) > 0 {
		v.keep("in use by %s", strings.Join(services, ", "))
	}
	if len(formerly) > 0 {
		v.keep("previous spec of %s", strings.Join(formerly, ", "))
	}
	newest := slices.IndexFunc(keep.Good, func(g GoodState) bool { return g.has(*v) })
	v.Unused = len(services) == 0 && len(formerly) == 0 && newest != 0
	switch {
	case len(services) > 0:
	case newest < 0:
		v.keepForOthers(keep)
	case newest == 0:
		v.keep("in the last applied stack")
	default: // only the newest good state is named
		good := keep.Good[newest]
		v.keep("good state of %s %.10s", good.At.UTC().Format("2006-01-02 15:04"), good.Commit)
	}
}

// keepForOthers keeps a version of the owner's that is in a good state of another stack.
func (v *Version) keepForOthers(keep Retention) {
	of := slices.IndexFunc(keep.Others, func(g GoodState) bool { return g.has(*v) })
	if of >= 0 && keep.Own(*v) { // any other stays anyway
		v.keep("%s", keep.Others[of])
	}
}

// keep adds a reason why the version stays.
func (v *Version) keep(format string, args ...any) {
	v.Kept = append(v.Kept, fmt.Sprintf(format, args...))
}

// judgeKey adds the reasons of age and count to the versions of a key, the newest first.
// Only the owner's versions count.
func judgeKey(versions []Version, keep Retention) {
	alive := slices.ContainsFunc(versions, func(v Version) bool { return len(v.Kept) > 0 })
	old, newest := 0, true
	for i := range versions {
		v := &versions[i]
		if !keep.Own(*v) {
			v.keep("%s", foreign(*v, keep))
			continue
		}
		switch {
		case !alive:
		case newest:
			v.keep("newest version")
		case len(v.Uses) == 0 && old < keep.Versions:
			old++
			v.keep("%s", lastOnes(keep.Versions))
		}
		newest = false
		if v.Unused {
			v.keepForTime(keep)
		}
		if len(keep.Good) == 0 {
			v.keep("no good state is recorded yet")
		}
	}
}

func foreign(v Version, keep Retention) string {
	switch v.Owner {
	case "":
		return "not created by this agent"
	case keep.Owner:
		return "belongs to the stack " + v.Stack
	}
	return "belongs to " + v.Owner
}

func lastOnes(count int) string {
	if count == 1 {
		return "last old version"
	}
	return fmt.Sprintf("one of the last %d old versions", count)
}

// keepForTime keeps an unused version for the time of the retention. For a version that
// was not seen unused before, the time begins now.
func (v *Version) keepForTime(keep Retention) {
	since, seen := keep.Since[v.ID]
	if !seen {
		since = keep.Now
	}
	left := keep.After - keep.Now.Sub(since)
	if left <= 0 {
		return
	}
	text := fmt.Sprintf("%d days", int((left+aDay-1)/aDay))
	if left < 2*aDay {
		text = fmt.Sprintf("%d hours", int((left+time.Hour-1)/time.Hour))
	}
	v.keep("unused for less than %s: %s left", period(keep.After), text)
}

// period writes a duration as config.yml does.
func period(d time.Duration) string {
	if d%aDay == 0 {
		return fmt.Sprintf("%d days", d/aDay)
	}
	return d.String()
}
