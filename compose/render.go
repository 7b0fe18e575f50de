// Package compose renders a node's compose files to engine specs: from a manifests.Node
// and its secrets it makes a Stack. It guarantees that `docker stack deploy` would send
// the same specs for the same files and variables (docs/parity.md lists the
// differences), and that the same input gives the same bytes. It does not use the
// clock, the network or the process's environment.
package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
	composetypes "github.com/docker/cli/cli/compose/types"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Options say how Render treats values that it cannot know.
type Options struct {
	// AllowSealed renders without keys: encrypted versions count as 0. It is for checking
	// a repository, never for applying it.
	AllowSealed bool
	// AllowLive accepts secrets without a value in the repository. deploy.Diff checks
	// that Swarm has them.
	AllowLive bool
	// Auto gives the version of a secret with SV_x=auto, from the text before and after the
	// version in its name, in place of one that is derived from the content. nil: it is derived.
	Auto func(before, after string) string
}

// Render makes the stack of node, with the secret values and versions in set. It
// returns all faults of the files joined, each with its file and line. The stack does
// not share memory with node.
func Render(node *manifests.Node, set *secrets.Set, options Options) (*Stack, error) {
	return render(node, set, options, nil)
}

func render(node *manifests.Node, set *secrets.Set, options Options, check *checking) (*Stack, error) {
	values := nodeVariables(node, set)
	files, err := readFiles(node, values, check)
	if values.budget.exceeded != nil {
		return nil, err
	}
	if err := check.pass(err); err != nil {
		return nil, err
	}
	versions := versions{files: files, set: set, allowSealed: options.AllowSealed, auto: options.Auto}
	if err := check.pass(versions.decide(values)); err != nil {
		return nil, err
	}
	a := &adapter{files: files, variables: values, envLines: map[string][]envLine{}, extras: extras{}, warnings: &warnings{}, depends: map[string]map[string]string{}}
	merged, err := a.merge()
	if values.budget.exceeded != nil {
		return nil, values.budget.exceeded
	}
	if err := check.pass(err); err != nil {
		return nil, err
	}
	if merged == nil {
		merged = &composetypes.Config{}
	}
	c := &converter{
		files: files, extras: a.extras, warnings: a.warnings, merged: merged,
		set: set, allowLive: options.AllowLive, namespace: convert.NewNamespace(node.Stack),
	}
	stack, err := c.convert(values.values["TAG"])
	if values.budget.exceeded != nil {
		return nil, values.budget.exceeded
	}
	if err := check.pass(err); err != nil {
		return nil, err
	}
	stack.Depends = a.depends
	stack.Warnings = inOrder(append(slices.Clone(node.Warnings), *a.warnings...))
	return stack, nil
}

// adapter makes one file of the node's compose files, as `docker stack deploy` does:
// compose-go reads each file, and the docker CLI's loader merges the adapted models.
type adapter struct {
	files     *files
	variables *variables
	exported  map[string]string    // the environment of docker
	envLines  map[string][]envLine // of the env_files that were read, by path
	extras    extras
	warnings  *warnings
	depends   map[string]map[string]string // Stack.Depends
}

func (a *adapter) merge() (*composetypes.Config, error) {
	a.exported = a.variables.environment(a.files.all)
	details := composetypes.ConfigDetails{WorkingDir: "/" + a.files.node.Dir, Environment: a.exported}
	var sources []*source
	var models []map[string]any
	var faults []error
	for _, s := range a.files.main {
		model, err := loadModel([]*source{s})
		if faults = append(faults, err); err == nil {
			sources, models = append(sources, s), append(models, model)
		} else if a.files.check != nil {
			a.files.check.partial = true
		}
	}
	a.leaveOut(models)
	names := map[string]bool{}
	for _, model := range models {
		for name := range mapping(model["services"]) {
			names[name] = true
		}
	}
	if err := a.files.budget.services(fault.Place{File: a.files.node.Dir}, len(names)); err != nil {
		return nil, err
	}
	for i, s := range sources {
		faults = append(faults, a.adapt(s, models[i]))
		details.ConfigFiles = append(details.ConfigFiles, composetypes.ConfigFile{Filename: s.path, Config: models[i]})
	}
	if a.files.budget.exceeded != nil {
		return nil, a.files.budget.exceeded
	}
	if err := a.files.check.pass(a.files.join(faults)); err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, nil //nolint:nilnil // Inspect could not read a file
	}
	a.warn(sources, details)
	merged, err := loadMerged(details)
	for err != nil {
		found := blame(sources, models, err, func(i int, part map[string]any) error {
			alone := details
			alone.ConfigFiles = []composetypes.ConfigFile{{Filename: sources[i].path, Config: part}}
			_, err := loadMerged(alone)
			return err
		})
		if !a.files.check.leavesOut(found, models[found.file]) {
			return nil, found.err
		}
		merged, err = loadMerged(details)
	}
	slices.SortFunc(merged.Services, func(a, b composetypes.ServiceConfig) int { return strings.Compare(a.Name, b.Name) })
	return merged, a.extras.aloneOnHost(merged.Services)
}

// activeProfiles is the variable with the active profiles, as in docker compose:
// separated by commas, * for all.
const activeProfiles = "COMPOSE_PROFILES"

// leaveOut removes the services that have only inactive profiles from the models of the
// node's compose files. A service has the profiles of all files.
func (a *adapter) leaveOut(models []map[string]any) {
	var active []string
	for name := range strings.SplitSeq(a.variables.values[activeProfiles], ",") {
		active = append(active, strings.TrimSpace(name))
	}
	profiles := map[string][]string{}
	for _, model := range models {
		for name, service := range mapping(model["services"]) {
			for _, profile := range list(mapping(service)["profiles"]) {
				profiles[name] = append(profiles[name], fmt.Sprint(profile))
			}
			delete(mapping(service), "profiles")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		if slices.Contains(active, "*") || slices.ContainsFunc(profiles[name], func(one string) bool { return slices.Contains(active, one) }) {
			continue
		}
		a.warnings.add(a.files.placeOf("services", name, "profiles"), "add one of its profiles to COMPOSE_PROFILES in node.env, or remove profiles",
			"service %s is not deployed: none of its profiles is active", name)
		for _, model := range models {
			delete(mapping(model["services"]), name)
		}
	}
}

// warn adds the warnings about what the files mean to docker.
func (a *adapter) warn(sources []*source, details composetypes.ConfigDetails) {
	if a.files.lenient() {
		*a.warnings = append(*a.warnings, a.files.unset()...)
	}
	for _, source := range a.files.all {
		source.warnOtherReadings(a.warnings, details.Environment)
		source.warnOtherFields(a.warnings)
	}
	c := &comparison{
		sources: sources, files: details.ConfigFiles, environment: details.Environment,
		warnings: a.warnings,
	}
	c.warn()
}

func loadMerged(details composetypes.ConfigDetails) (merged *composetypes.Config, err error) {
	err = guard(func() error {
		merged, err = loader.Load(details, func(o *loader.Options) { o.SkipInterpolation = true }, loader.WithDiscardEnvFiles)
		return err
	})
	return merged, err
}

// wireImage returns the reference that the docker client sends: with a tag, and in its
// familiar form.
func wireImage(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		if _, idErr := reference.ParseAnyReference(image); idErr == nil {
			return image, nil
		}
		return "", err
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

// warnings collects the warnings of one call of Render.
type warnings []*fault.Error

func (w *warnings) add(place fault.Place, hint, format string, args ...any) {
	*w = append(*w, fault.New(place, hint, format, args...))
}

// inOrder sorts warnings by place, and removes duplicates.
func inOrder(warnings []*fault.Error) []*fault.Error {
	slices.SortStableFunc(warnings, func(a, b *fault.Error) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), strings.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(warnings, func(a, b *fault.Error) bool { return a.Place == b.Place && a.Message == b.Message })
}

func comparePlaces(a, b fault.Place) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
}
