package doctor

import (
	"context"
	"errors"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/internal/fault"
)

// checkMetrics reads the certificate and the token of the metrics for other machines, and
// doubts those that anyone may read.
func (d *doctor) checkMetrics(context.Context) (string, error) {
	m := d.on.Settings.Metrics()
	if m.Listen == "" {
		return "metrics_listen is not set: they are served on this machine only", nil
	}
	text, err := certificate("the certificate of metrics_listen", m.CertFile, m.KeyFile)
	text, faults := m.Listen+text, []error{access.CheckTokens(m.Tokens()), err}
	switch {
	case m.TokenFile != "":
		text += " and a token"
	case m.Open:
		faults = append(faults, doubt{fault.WithHint(errors.New("everyone who reaches "+m.Listen+" reads the metrics: metrics_open is set, and metrics_token_file is not"),
			"let a firewall admit Prometheus alone, or set metrics_token_file")})
	}
	return text, errors.Join(faults...)
}
