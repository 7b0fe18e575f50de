package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"

	composego "github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// model reads one compose file by the Compose specification (interpolation,
// anchors, extends) and gives the dictionary that the docker CLI's loader takes.
func (r *renderer) model(s *source) (map[string]any, error) {
	if place := s.place("include"); place.Line > 0 {
		return nil, fault.New(place, "list the file under nodes[].compose_files in config.yml", "include is not supported")
	}
	details := composetypes.ConfigDetails{
		WorkingDir:  "/" + r.node.Dir,
		ConfigFiles: []composetypes.ConfigFile{{Filename: s.path, Content: s.data}},
		Environment: composetypes.Mapping{},
	}
	dict, err := composego.LoadModelWithContext(context.TODO(), details, r.modelOptions) //nolint:forbidigo // nothing is fetched, so nothing can be cancelled
	if err != nil {
		message := strings.TrimPrefix(err.Error(), "validating "+s.path+": ")
		return nil, fault.New(s.modelPlace(err), "", "%s", message)
	}
	plain, err := plainDict(dict)
	if err != nil {
		return nil, fault.New(fault.Place{File: s.path}, "", "read compose file: %w", err)
	}
	return plain, r.adapt(s, plain)
}

func (r *renderer) modelOptions(o *composego.Options) {
	o.SetProjectName("stack", true) // the stack's own name may be one that Compose refuses
	o.SkipNormalization = true
	o.SkipDefaultValues = true
	o.SkipConsistencyCheck = true
	o.SkipResolveEnvironment = true
	o.SkipInclude = true
	o.ResolvePaths = false
	o.Interpolate.LookupValue = r.variables.lookup
	o.Interpolate.Substitute = r.variables.substitute
	o.ResourceLoaders = append(o.ResourceLoaders, noFiles{})
}

// modelPlace finds the line of a fault of compose-go, which names a dotted path.
func (s *source) modelPlace(err error) fault.Place {
	place := yamlPlace(s.path, err)
	if place.Line == 0 {
		place = s.placeOf(err.Error())
	}
	return place
}

// noFiles keeps compose-go from reading files by itself.
type noFiles struct{}

var errOtherFile = errors.New("extends from another file is not supported: put the service that it extends into the same file")

func (noFiles) Accept(string) bool                           { return true }
func (noFiles) Load(context.Context, string) (string, error) { return "", errOtherFile }
func (noFiles) Dir(string) string                            { return "." }

// plainDict turns compose-go's mixture of types into maps, lists and scalars.
func plainDict(dict map[string]any) (map[string]any, error) {
	data, err := yaml.Marshal(dict)
	if err != nil {
		return nil, fmt.Errorf("marshal model: %w", err)
	}
	plain := map[string]any{}
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return nil, fmt.Errorf("unmarshal model: %w", err)
	}
	return plain, nil
}
