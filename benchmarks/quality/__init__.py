"""Quality of the separated sources: what windows change, and a picture of before and after."""
