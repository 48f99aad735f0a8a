"""Whether something that takes connections is an SSH server that works: its first line comes by itself. Nobody logs in. Room: asking."""

import asyncio

from wg_office.environment.model import Ssh


async def silent(ssh: Ssh, seconds: float) -> bool:
    """Whether a connection is taken there and then nothing said for so long. Where none is taken dialling tells that soon, and better."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(ssh.host, ssh.port)
            await reader.read(1)
    except TimeoutError:
        return writer is not None
    except OSError:
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
    return False
