package contexts

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/opts"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/fault"
)

// standard gives the endpoint of the context `default`: what DOCKER_HOST, DOCKER_TLS_VERIFY and
// DOCKER_CERT_PATH say, as the docker CLI reads them, else the local socket.
func (s *Store) standard() (Endpoint, error) {
	verify := os.Getenv(client.EnvTLSVerify) != ""
	secured := verify || os.Getenv("DOCKER_TLS") != ""
	host, err := opts.ParseHost(secured, os.Getenv(client.EnvOverrideHost))
	if err != nil {
		return Endpoint{}, fault.WithHint(fmt.Errorf("read %s: %w", client.EnvOverrideHost, err), "give it as unix:///var/run/docker.sock or tcp://host:port")
	}
	with := docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: host}}
	if secured {
		with.SkipTLSVerify = !verify
		folder := cmp.Or(os.Getenv(client.EnvOverrideCertPath), s.folder)
		if with.TLSData, err = certificates(folder); err != nil {
			return Endpoint{}, fault.WithHint(fmt.Errorf("read the certificates for %s: %w", host, err),
				fmt.Sprintf("put ca.pem, cert.pem and key.pem into %s, or unset %s", folder, client.EnvTLSVerify))
		}
	}
	return endpoint(Default, with)
}

// certificates reads those of the three files that exist.
func certificates(folder string) (*dockercontext.TLSData, error) {
	paths := [3]string{}
	for i, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			paths[i] = path
		}
	}
	return dockercontext.TLSDataFromFiles(paths[0], paths[1], paths[2])
}
