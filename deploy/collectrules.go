package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

const aDay = 24 * time.Hour

// Versions lists the versions of an owner's secrets and configs, with the reasons why
// each stays. If neither a service nor a good state refers to a key any more, its
// versions stay only for the time of the retention.
func (i *Inventory) Versions(keep Retention) []Version {
	all := i.versions(keep)
	users := i.users()
	for n := range all {
		all[n].judgeUse(users, keep)
	}
	for begin := 0; begin < len(all); {
		end := begin
		for end < len(all) && all[end].Kind == all[begin].Kind && all[end].Key == all[begin].Key {
			end++
		}
		judgeKey(all[begin:end], keep)
		begin = end
	}
	return all
}

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

// users are the services that refer to objects, by the objects' IDs and names: a
// reference has both, and one of them is enough.
type users struct {
	now    map[referred][]Use
	before map[referred][]string // services that referred to it before their last update
}

// referred is an ID or a name that a service refers to.
type referred struct {
	kind Kind
	text string
}

func (i *Inventory) users() users {
	all := users{now: map[referred][]Use{}, before: map[referred][]string{}}
	for _, name := range keys(i.Services) {
		service := i.Services[name]
		for ref, targets := range references(service.Spec) {
			for _, target := range targets {
				all.now[ref] = append(all.now[ref], Use{Service: name, Target: target})
			}
		}
		if service.PreviousSpec == nil {
			continue
		}
		for ref := range references(*service.PreviousSpec) {
			all.before[ref] = append(all.before[ref], name)
		}
	}
	return all
}

// references lists the secrets and configs of a spec, with their places in the container.
func references(spec swarm.ServiceSpec) map[referred][]string {
	container := spec.TaskTemplate.ContainerSpec
	found := map[referred][]string{}
	if container == nil {
		return found
	}
	add := func(kind Kind, target string, texts ...string) {
		for _, text := range texts {
			if text != "" {
				found[referred{kind, text}] = append(found[referred{kind, text}], target)
			}
		}
	}
	for _, one := range container.Secrets {
		target := ""
		if one.File != nil {
			target = one.File.Name
			if !strings.HasPrefix(target, "/") {
				target = "/run/secrets/" + target
			}
		}
		add(Secret, target, one.SecretID, one.SecretName)
	}
	for _, one := range container.Configs {
		target := ""
		if one.File != nil {
			target = one.File.Name
		}
		add(Config, target, one.ConfigID, one.ConfigName)
	}
	if container.Privileges != nil && container.Privileges.CredentialSpec != nil {
		add(Config, "credential_spec", container.Privileges.CredentialSpec.Config)
	}
	return found
}

// judgeUse sets the services that use a version, and the reasons that follow from this.
func (v *Version) judgeUse(all users, keep Retention) {
	byID, byName := referred{v.Kind, v.ID}, referred{v.Kind, v.Name}
	v.Uses = all.now[byID]
	if len(v.Uses) == 0 {
		v.Uses = all.now[byName]
	}
	var services []string
	for _, use := range v.Uses {
		services = append(services, use.Service)
	}
	if len(services) > 0 {
		v.Kept = append(v.Kept, "in use by "+strings.Join(slices.Compact(services), ", "))
	}
	before := slices.Concat(all.before[byID], all.before[byName])
	slices.Sort(before)
	before = slices.DeleteFunc(slices.Compact(before), func(name string) bool { return slices.Contains(services, name) })
	if len(before) > 0 {
		v.Kept = append(v.Kept, "previous spec of "+strings.Join(before, ", "))
	}
	for i, good := range keep.Good {
		if !slices.Contains(good.names(v.Kind), v.Name) {
			continue
		}
		if i == 0 {
			if len(services) == 0 {
				v.Kept = append(v.Kept, "in the last applied stack")
			}
			v.Unused = false
			return
		}
		v.Unused = len(services) == 0 && len(before) == 0
		if len(services) == 0 { // only the newest good state is named
			v.Kept = append(v.Kept, fmt.Sprintf("good state of %s %.10s", good.At.UTC().Format("2006-01-02 15:04"), good.Commit))
		}
		return
	}
	v.Unused = len(services) == 0 && len(before) == 0
}

// judgeKey adds the reasons of age and count to the versions of a key, the newest first.
// Only the owner's versions count.
func judgeKey(versions []Version, keep Retention) {
	alive := slices.ContainsFunc(versions, func(v Version) bool { return len(v.Kept) > 0 })
	old, newest := 0, true
	for i := range versions {
		v := &versions[i]
		if !keep.Own(*v) {
			v.Kept = append(v.Kept, foreign(*v, keep))
			continue
		}
		switch {
		case !alive:
		case newest:
			v.Kept = append(v.Kept, "newest version")
		case len(v.Uses) == 0 && old < keep.Versions:
			old++
			v.Kept = append(v.Kept, lastOnes(keep.Versions))
		}
		newest = false
		if v.Unused {
			v.keepForTime(keep)
		}
		if len(keep.Good) == 0 {
			v.Kept = append(v.Kept, "no good state is recorded yet")
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
	v.Kept = append(v.Kept, fmt.Sprintf("unused for less than %s: %s left", period(keep.After), text))
}

// period writes a duration as config.yml does.
func period(d time.Duration) string {
	if d%aDay == 0 {
		return fmt.Sprintf("%d days", d/aDay)
	}
	return d.String()
}
