package deploy

// Names that tests need and nobody else.
var (
	ServiceChanges = serviceChanges
	Masked         = masked
	Withhold       = withhold
)
