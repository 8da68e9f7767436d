"""CatalogService: many lines at once."""

import asyncio
from collections.abc import AsyncIterator

from gateway.domain.errors import InvalidArgument
from gateway.imports import Report
from gateway.rpc import csv_tables
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import catalog_service_pb2 as pb

_TABLES = (pb.CATALOG_TABLE_SKUS, pb.CATALOG_TABLE_LISTINGS)


async def import_catalog(call: Call, request: pb.ImportCatalogRequest) -> pb.ImportCatalogResponse:
    """Create and change what a CSV says, all of it or nothing."""
    _require_table(request.table)
    imports = call.merchant.imports
    # Ten thousand lines take a while to read: the loop goes on meanwhile.
    if request.table == pb.CATALOG_TABLE_SKUS:
        table = await asyncio.to_thread(csv_tables.read_skus, request.csv)
        return _response(await imports.import_skus(table.lines, table.columns, dry_run=request.dry_run))
    table = await asyncio.to_thread(csv_tables.read_listings, request.csv)
    return _response(await imports.import_listings(table.lines, table.columns, dry_run=request.dry_run))


async def export_catalog(call: Call, request: pb.ExportCatalogRequest) -> AsyncIterator[pb.ExportCatalogResponse]:
    """Write everything as CSV."""
    _require_table(request.table)
    imports = call.merchant.imports
    if request.table == pb.CATALOG_TABLE_SKUS:
        yield pb.ExportCatalogResponse(csv=csv_tables.header(csv_tables.SKU_COLUMNS))
        async for skus in imports.export_skus():
            yield pb.ExportCatalogResponse(csv=csv_tables.written_skus(skus))
        return
    yield pb.ExportCatalogResponse(csv=csv_tables.header(csv_tables.LISTING_COLUMNS))
    async for listings in imports.export_listings():
        yield pb.ExportCatalogResponse(csv=csv_tables.written_listings(listings))


def _require_table(table: pb.CatalogTable.ValueType) -> None:
    if table not in _TABLES:
        raise InvalidArgument("table must be SKUS or LISTINGS", field="table")


def _response(report: Report) -> pb.ImportCatalogResponse:
    response = pb.ImportCatalogResponse(applied=report.applied)
    for judged in report.lines:
        line = response.lines.add(line=judged.line.number, key=judged.line.key, result=judged.result)
        if judged.refusal is not None:
            line.column = judged.refusal.field
            line.reason = judged.refusal.message
    return response


METHODS: dict[str, Unary | Streaming] = {"ImportCatalog": import_catalog, "ExportCatalog": export_catalog}
