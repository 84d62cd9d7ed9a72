# SkyPilot makes and stops virtual machines by itself, with the rights of whoever runs a pipeline.
# There is nothing to make here; the unit stands for the component and gives its export.
