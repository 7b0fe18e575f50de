package deploy

import (
	"context"
	"slices"

	"coin.internal/coin-agent/secrets"
)

// Pushed asks the registries for images, once for each, with the node's logins, and
// gives the answers, sorted. It does not look at the images that this node has.
func (e *Engine) Pushed(ctx context.Context, images []string) ([]Pushed, error) {
	wanted := slices.Compact(slices.Sorted(slices.Values(images)))
	answers, err := e.registries.lookUp(ctx, wanted)
	if err != nil {
		return nil, err
	}
	all := make([]Pushed, 0, len(wanted))
	for _, image := range wanted {
		all = append(all, answers[image])
	}
	return all, nil
}

// Login gives the node's login for a registry; an empty user if there is none.
func (e *Engine) Login(ctx context.Context, host string) (user string, password secrets.Value, err error) {
	ring, err := e.registries.readLogins()
	if err != nil {
		return "", secrets.Value{}, err
	}
	found, err := ring.of(ctx, host)
	if err != nil || found.header == "" {
		return "", secrets.Value{}, err
	}
	login := found.credentials
	if login.Username == "" || login.Password == "" {
		return "", secrets.Value{}, loginFault(e.registries.loginFile, "log in with user and password, or name user_file and token_file in gates.vulnerabilities",
			"the login for %s is an identity token, which only the registry accepts", host)
	}
	return login.Username, secrets.NewValue([]byte(login.Password)), nil
}
